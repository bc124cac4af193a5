"""What celery's workers run; broker and results are in the mesh's Redis, a database for each mode."""

import requests
from celery import Celery

from trying import SETTINGS, URL

REDIS = f"redis://cache/{SETTINGS['number']}"
app = Celery("pool_tasks", broker=REDIS, backend=REDIS)
app.conf.update(task_publish_retry=False, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)


@app.task
def call():
    return requests.get(URL, timeout=30).text
