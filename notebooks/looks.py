"""How both notebooks ask and draw: an answer knows how fresh it is, and whatever shows it says so."""

import matplotlib.pyplot as plt
import pandas as pd

from mail_pipeline.freshness import freshness
from mail_pipeline.marts.questions import QUESTIONS

COLOURS = ["#1f6f8b", "#e39b3b", "#6a9f58", "#b5566b", "#7d6fa8", "#8c7b6b", "#58b0c4", "#c9b84c"]
MAIN, SECOND, QUIET = COLOURS[0], COLOURS[1], "#c9d3d8"
plt.rcParams.update(
    {
        "axes.prop_cycle": plt.cycler(color=COLOURS),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlepad": 18,
        "axes.titleweight": "bold",
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "font.size": 9,
        "legend.frameon": False,
        "text.parse_math": False,
    }
)
pd.options.display.max_rows = 12
pd.options.display.max_colwidth = 100


def ask(con, title, sql, given=None, *, of_marts=False):
    """Return the rows of a statement, marked with a title and the freshness of the snapshot they are from."""
    con.begin()
    try:
        rows = con.execute(sql, given or {}).df()
        fresh = freshness(con)
    finally:
        con.rollback()
    rows.attrs = {"title": title, "fresh": str(fresh.of_marts if of_marts else fresh)}
    return rows


def answer(con, name, **given):
    """Print one of the questions as SQL and ask it; the rows are no fresher than the marts they are from."""
    question = QUESTIONS[name]
    print(question.sql)
    return ask(con, question.title, question.sql, given, of_marts=True)


def chart(rows, x, y, height=3.4):
    """Return axes for rows that were asked for, their freshness under the title."""
    _, ax = plt.subplots(figsize=(9, height))
    ax.set(title=rows.attrs["title"], xlabel=x, ylabel=y)
    ax.annotate(
        rows.attrs["fresh"], (0, 1), (0, 5), "axes fraction", "offset points", fontsize=8, color="grey"
    )
    if rows.empty:
        ax.text(0.5, 0.5, "nothing yet", transform=ax.transAxes, ha="center", va="center", color="grey")
    return ax


def tell(rows, sentence):
    """Print what rows say, and how fresh that is."""
    print(sentence, f"({rows.attrs['fresh']})", sep="\n")


def legend(ax):
    """Put the legend below."""
    ax.figure.legend(loc="outside lower center", ncols=2)
