"""nginx with the very bytes that Larder answered as files, and bare PUTs (WebDAV) for uploads."""

import os
import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.corpus import Corpus, Wheel
from benchmarks.reads import fetch, links
from benchmarks.servers.server import Publication, Server, spawn
from benchmarks.wrk import Read
from tests.e2e.processes import clean_environment
from tests.ports import free_port
from tests.registry_client import SIMPLE_JSON

_CONFIGURATION = """
{user}
worker_processes auto; daemon off; error_log stderr crit; pid {root}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; default_type application/octet-stream; types {{ text/html html; }}
  sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=2000;
  client_max_body_size 0; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  server {{
    listen 127.0.0.1:{port}; root {root}/files; index index.html;
    location /put/ {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""


def start_nginx(stack: ExitStack, directory: Path, corpus: Corpus, larder: Server) -> Server:
    """Copy what Larder answers, and serve it under the same paths, until the stack ends."""
    directory.mkdir()
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    index = f"{base}{urlsplit(larder.index).path}"
    _copy(directory / "files", corpus, larder, base)
    configuration = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(_CONFIGURATION.format(root=directory, port=port, user=user), encoding="ascii")
    command = ["nginx", "-c", str(configuration), "-p", str(directory)]
    server = Server(
        "nginx",
        index,
        launch=partial(spawn, command, directory / "log", clean_environment({})),
        log=directory / "log",
        publication=partial(_publication, base=base),
        html="index.html",
        json="index.json",
    )
    server.start_within(stack, f"{index}{corpus.names[0]}/")
    return server


def _copy(files: Path, corpus: Corpus, larder: Server, base: str) -> None:
    wheels = {wheel.file_name: wheel.path for wheel in corpus.wheels}
    theirs = urlsplit(larder.index)
    own_base = f"{theirs.scheme}://{theirs.netloc}".encode()
    for name in corpus.names:
        page = Read(f"{larder.index}{name}/", larder.headers)
        place = files / urlsplit(page.url).path[1:]
        place.mkdir(parents=True)
        html = fetch(page)
        json = fetch(Read(page.url, {**larder.headers, "Accept": SIMPLE_JSON}))
        place.joinpath("index.html").write_bytes(html.replace(own_base, base.encode()))
        place.joinpath("index.json").write_bytes(json.replace(own_base, base.encode()))
        for link in links(page.url, html):
            file = files / urlsplit(link).path[1:]
            file.parent.mkdir(parents=True)
            file.hardlink_to(wheels[file.name])
            file.with_name(f"{file.name}.metadata").write_bytes(fetch(Read(f"{link}.metadata", larder.headers)))


def _publication(wheel: Wheel, *, base: str) -> Publication:
    url = f"{base}/put/{wheel.name}/{wheel.file_name}"
    headers = {"Content-Length": str(wheel.path.stat().st_size)}
    return Publication(wheel, "PUT", url, headers, b"", b"", page=url)


def is_missing() -> bool:
    """Say whether there is no nginx on PATH."""
    return shutil.which("nginx") is None
