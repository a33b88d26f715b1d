"""From the settings to the subsets: no file means everything."""

from mail_pipeline.errors import StopRun
from mail_pipeline.settings import Settings
from mail_pipeline.subset.resolved import EVERYTHING, Subsets


def read_subsets(settings: Settings) -> Subsets:
    """Read the file the settings name; where they name none, everything is wanted.

    Raises StopRun with every mistake of the file, each with its line, its key, what was found and what is
    allowed; also where the file is missing, or asks for hashed addresses and there is no key.
    """
    if settings.config is None:
        return EVERYTHING
    # Pydantic takes a fifth of a CPU second to import; most commands have no use for it.
    from mail_pipeline.subset.file import read_file

    try:
        text = settings.config.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StopRun(
            f"{settings.config} cannot be read ({type(error).__name__})",
            next_step="MAIL_PIPELINE_CONFIG names it. Mend it, or unset that to mirror everything.",
        ) from None
    return read_file(str(settings.config), text, settings.hash_key)
