"""Larder beside nginx and its peers, all with the same corpus on this machine."""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.corpus import build_corpus
from benchmarks.plan import Plan
from benchmarks.rounds import Rounds, say
from benchmarks.rows import ROWS
from benchmarks.servers.larder import fill, start_larder, start_larder_on_postgresql
from benchmarks.servers.nginx import start_nginx
from benchmarks.servers.peers import PEERS
from benchmarks.servers.server import Server
from benchmarks.table import render


def compete(plan: Plan, directory: Path) -> str:
    """Measure; return the table, and what there is to say about it."""
    with ExitStack() as stack:
        servers = start_all(stack, plan, directory)
        rounds = Rounds(plan, servers, directory / "uploads")
        medians = rounds.run()
    names = [server.name for server in servers]
    table = render(ROWS, medians, names, base="nginx", subject="Larder")
    return "\n".join([table, "", *rounds.notes])


def start_all(stack: ExitStack, plan: Plan, directory: Path) -> list[Server]:
    """Run all servers with the corpus until the stack ends; return nginx and Larder first."""
    say("building the corpus")
    corpus = build_corpus(directory / "corpus")
    say("starting Larder")
    larder = start_larder(stack, "Larder", directory / "larder")
    fill(larder, corpus)
    others = []
    if plan.has_postgresql:
        say("starting Larder on PostgreSQL")
        others.append(start_larder_on_postgresql(stack, "on PostgreSQL", directory / "larder-postgresql"))
        fill(others[0], corpus)
    for peer in plan.peers:
        say(f"starting {peer}")
        others.append(PEERS[peer](stack, directory / peer, corpus))
    say("starting nginx")
    return [start_nginx(stack, directory / "nginx", corpus, larder), larder, *others]
