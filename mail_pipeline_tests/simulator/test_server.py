import socket
import threading

import pytest
import requests

from mail_pipeline.simulator import API_KEY, Fleet, Latency, MailboxSpec, Simulator
from mail_pipeline_tests.simulator.client import Api


def _simulator(**options):
    return Simulator(Fleet.generate(0, [MailboxSpec(messages=5)]), **options)


def test_it_answers_inside_the_block_and_not_after_it():
    before = set(threading.enumerate())
    with _simulator().serve() as url, Api(url) as api:
        assert api.get("/v3/grants").status_code == 200
    with pytest.raises(requests.ConnectionError), Api(url) as api:
        api.get("/v3/grants")
    assert set(threading.enumerate()) <= before


def test_it_serves_again_and_twice_at_once():
    simulator = _simulator()
    for _ in range(2):
        with simulator.serve() as first, simulator.serve() as second:
            assert first != second
            for url in (first, second):
                with Api(url) as api:
                    assert api.get("/v3/grants").status_code == 200
    assert len(simulator.requests) == 4


def test_it_takes_the_port_it_is_told():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with _simulator().serve(port=port) as url:
        assert url == f"http://127.0.0.1:{port}"


def test_a_taken_port_is_an_error():
    with _simulator().serve() as url, pytest.raises(OSError, match="in use"):
        _simulator().serve(port=int(url.rpartition(":")[2])).__enter__()


def test_the_block_ends_though_an_answer_is_still_being_waited_for():
    simulator = _simulator(latency=Latency(base=30.0))
    outcome: list[object] = []

    def ask(url):
        with Api(url) as api:
            try:
                outcome.append(api.mail(simulator.fleet.mailbox(0).grant.id).status_code)
            except requests.ConnectionError as error:
                outcome.append(type(error))

    with simulator.serve() as url:
        asking = threading.Thread(target=ask, args=(url,))
        asking.start()
        with Api(url) as api:
            while not simulator.requests:
                api.get("/v3/grants/nobody")
    asking.join(timeout=20)
    assert not asking.is_alive()
    assert outcome != [200]


def test_many_connections_at_once_are_served():
    with _simulator().serve() as url:
        sessions = [Api(url) for _ in range(40)]
        try:
            assert {api.get("/v3/grants").status_code for api in sessions} == {200}
        finally:
            for api in sessions:
                api.session.close()


def test_the_key_has_a_default_everybody_knows():
    with _simulator().serve() as url, Api(url, key=API_KEY) as api:
        assert api.get("/v3/grants").status_code == 200
