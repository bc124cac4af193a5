"""A program that calls another service: no import of tulle, no proxy, no port."""

import time

import requests


def call_service_b():
    url = "http://service-b/data"
    headers = {"Content-Type": "application/json"}
    try:
        response = requests.get(url, headers=headers)
        response.raise_for_status()
        print(f"Received data from service-b: {response.json()}")
    except requests.exceptions.RequestException as e:
        print(f"Error occurred while calling service-b: {e}")


while True:
    started = time.perf_counter()
    call_service_b()
    print(f"Took {(time.perf_counter() - started) * 1000:.2f} ms", flush=True)
    time.sleep(0.001)
