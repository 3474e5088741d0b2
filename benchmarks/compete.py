"""Larder beside nginx and its peers, all with the same corpus on this machine."""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.corpus import Corpus, build_corpus
from benchmarks.growth.grow import grow
from benchmarks.plan import Plan
from benchmarks.rounds import Rounds, say
from benchmarks.rows import GROWTH, ROWS
from benchmarks.servers.larder import fill, start_larder, start_larder_on_postgresql
from benchmarks.servers.nginx import start_nginx
from benchmarks.servers.peers import PEERS
from benchmarks.servers.server import Server
from benchmarks.table import render

_BASE, _SUBJECT = "nginx", "Larder"


def compete(plan: Plan, directory: Path) -> str:
    """Measure; return the tables, and what there is to say about them."""
    say("building the corpus")
    corpus = build_corpus(directory / "corpus", plan.measurements)
    with ExitStack() as stack:
        servers = start_all(stack, plan, directory, corpus)
        rounds = Rounds(plan, servers, directory / "uploads")
        medians = rounds.run()
        names = [server.name for server in servers]
    told = []
    if GROWTH in plan.measurements:
        # By itself, because it is large.
        figures, table = grow(corpus, directory / "growth", seconds=plan.seconds)
        medians |= {(key, _SUBJECT): figure for key, figure in figures.items()}
        told = ["", table]
    return "\n".join([render(ROWS, medians, names, base=_BASE, subject=_SUBJECT), *told, "", *rounds.notes])


def start_all(stack: ExitStack, plan: Plan, directory: Path, corpus: Corpus) -> list[Server]:
    """Start all servers with the corpus until the stack ends; return nginx and Larder first."""
    say("starting Larder")
    larder = start_larder(stack, _SUBJECT, directory / "larder", settings=plan.settings)
    fill(larder, corpus)
    others = []
    if plan.has_postgresql:
        say("starting Larder on PostgreSQL")
        others.append(
            start_larder_on_postgresql(stack, "on PostgreSQL", directory / "larder-postgresql", plan.settings)
        )
        fill(others[0], corpus)
    for peer in plan.peers:
        say(f"starting {peer}")
        others.append(PEERS[peer](stack, directory / peer, corpus))
    say("starting nginx")
    return [start_nginx(stack, directory / _BASE, corpus, larder), larder, *others]
