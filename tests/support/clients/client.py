"""Asks a predictor with urllib3: client.py URL; posts each line of its input, prints the answer."""

import sys

import urllib3

http = urllib3.PoolManager(retries=False)
for line in sys.stdin:
    headers = {"Content-Type": "application/json"}
    answer = http.request("POST", sys.argv[1], body=line.strip(), headers=headers)
    print(answer.status, answer.data.decode())
