"""For other WSGI servers: ``gunicorn riskpredictor_server.wsgi:application``.

Settings come from the environment. The product's own server is ``python -m riskpredictor_server``.
Give it one worker process (threads are fine): each worker counts for itself, so with several of
them ``/metrics`` and the drift score show whichever worker answers, and counters jump between them.
To use more cores, run more pods: each is scraped by itself.
"""

from __future__ import annotations

import atexit

from riskpredictor_server.api.service import Service
from riskpredictor_server.logs import configure
from riskpredictor_server.settings import from_strings
from riskpredictor_server.web.app import create_app

_settings = from_strings({})
configure(_settings)
_service = Service(_settings)
atexit.register(_service.close)
application = create_app(_service)
