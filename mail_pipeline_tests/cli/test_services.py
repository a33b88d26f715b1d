"""What commands keep running beside themselves does not get in the way of other commands."""

import socket

import pytest

from mail_pipeline.cli.services import claimed_port
from mail_pipeline.errors import StopRun

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def test_two_commands_that_start_at_once_choose_two_ports() -> None:
    wanted = free_port()
    # Neither listens yet.
    with claimed_port(HOST, wanted) as one, claimed_port(HOST, wanted) as other:
        assert one == wanted
        assert other != one
    with claimed_port(HOST, wanted) as after:
        assert after == wanted


def test_a_port_that_something_listens_on_is_passed_over() -> None:
    with socket.create_server((HOST, 0)) as listener:
        taken = listener.getsockname()[1]
        with claimed_port(HOST, taken) as chosen:
            assert chosen != taken


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(StopRun, match=r"Nothing can listen on 192\.0\.2\.1"), claimed_port("192.0.2.1", 3000):
        pass
