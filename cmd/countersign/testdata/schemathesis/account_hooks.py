"""What schemathesis cannot make up: identifiers of what the user has.

A part of the calls gets them, so that something is read and ended; the rest stays as it was made.
"""

import json
import os

import requests
import schemathesis

given = json.load(open(os.environ["GIVEN"]))  # base, certificate, key, authority, client, own, token
session = requests.Session()
session.trust_env = False
session.cert, session.verify = (given["certificate"], given["key"]), given["authority"]

calls = 0


def grants():
    """The identifiers of decisions, those that have ended too."""
    path = "/account/v1/access/" + given["client"]
    response = session.get(given["base"] + path, headers={"Authorization": "Bearer " + given["token"]}, timeout=10)
    return [each["id"] for each in response.json().get("grants", [])]


decisions = grants()


@schemathesis.hook
def before_call(context, case, kwargs):
    global calls
    calls += 1
    if calls % 4 != 0:  # else with whatever it was made with, or nothing
        case.headers = {**(case.headers or {}), "Authorization": "Bearer " + given["token"]}
    path = case.path_parameters or {}
    if "/access/" not in case.operation.path:
        return
    if calls % 3 != 0 or path.get("id") == given["own"]:  # what ends its own access has no token any more
        path = {**path, "id": given["client"]}
        if "grant" in path:
            path["grant"] = decisions[calls % len(decisions)]
        case.path_parameters = path
    if case.method == "GET" and calls % 2 == 0:
        case.query = {}


@schemathesis.hook
def after_call(context, case, response):
    with open(os.environ["ANSWERS"], "a") as answers:
        print(f"{case.method} {case.operation.path} {response.status_code}", file=answers)
