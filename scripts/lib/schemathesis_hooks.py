"""What openapi.yaml cannot say of a request, for scripts/schemathesis."""

import base64
import json
import re

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """One item a line; whatever is no array is one line."""
    items = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(item) for item in items).encode()


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """What is as it shall be."""
    kind = type(failure).__name__
    # A header that nobody knows is nothing bad; it is refused where its name begins with Amqp-.
    if kind == "AcceptedNegativeData":
        return "x-schemathesis-unknown-property" not in (case.headers or {})
    # A key may stand for the message of a case before, and null is a filter to the description only.
    if kind == "RejectedPositiveData":
        known = ('"idempotency_key_reused"', "must hold at least one of")
        return not any(words in (response.text or "") for words in known)
    return True


@schemathesis.hook
def before_call(context, case, kwargs):
    """Good values become ones that depend on the broker or on each other as they must."""
    headers = case.headers or {}
    for name in list(headers):
        if name.lower() == "amqp-user-id" and fits(headers[name]):
            headers[name] = "guest"
    if isinstance(case.query, dict):
        mend_terms(case.query)
    body = case.body
    messages = body
    key = next((headers[name] for name in headers if name.lower() == "idempotency-key"), None)
    if isinstance(body, dict) and key and fits(key) and body.get("idempotency_key") and fits(body["idempotency_key"]):
        # Where both are good they must agree.
        body["idempotency_key"] = key
    if isinstance(body, dict):
        messages = body.get("messages", [body])
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict):
            mend(message)
    if isinstance(body, dict):
        lead_nowhere(body, "url")


def lead_nowhere(values, name):
    """A URL becomes one to a host that nobody can have (RFC 2606): nothing may be sent to whatever a random
    one names, and few random names are those of a host."""
    url = values.get(name)
    if isinstance(url, str) and len(url) <= 2048 and URL.fullmatch(url):
        values[name] = "https://hooks.invalid/in"


def mend_terms(message):
    """Good times become near ones, of which there is only one."""
    if is_time(message.get("deliver_at")):
        message["deliver_at"] = "2020-02-29T12:00:00Z"
        # In a query a number is its digits.
        if str(message.get("delay_ms")).isdecimal() and int(message["delay_ms"]) <= 31_536_000_000:
            del message["delay_ms"]
    lead_nowhere(message, "callback_url")
    # JSON Schema takes 1.0 for an integer; whoever writes it so meant something else.
    for name in ("delay_ms", "give_up_after_ms"):
        if isinstance(message.get(name), float) and message[name].is_integer():
            message[name] = int(message[name])


URL = re.compile(r"https?://[^\s\x00-\x1f\x7f-\x9f\\@#/?]+([/?][^\s\x00-\x1f\x7f-\x9f\\#]*)?", re.IGNORECASE)
TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def is_time(value):
    return isinstance(value, str) and TIME.fullmatch(value) is not None


def mend(message):
    mend_terms(message)
    properties = message.get("properties")
    if isinstance(properties, dict) and fits(properties.get("user_id")):
        # The only one that RabbitMQ lets pass.
        properties["user_id"] = "guest"
    if isinstance(properties, dict) and properties.get("reply_to") == "amq.rabbitmq.reply-to":
        properties["reply_to"] = "replies"
    if isinstance(properties, dict):
        for name in ("priority", "delivery_mode", "timestamp", "expiration"):
            # JSON Schema takes 1.0 for an integer; whoever writes it so meant something else.
            if isinstance(properties.get(name), float) and properties[name].is_integer():
                properties[name] = int(properties[name])
        headers = properties.get("headers")
        if isinstance(headers, dict):
            properties["headers"] = narrow(headers)
    if message.get("payload_encoding") == "base64" and "payload" in message:
        message["payload"] = base64.b64encode(b"payload").decode()


def narrow(value):
    """Integers beyond 64 bits are numbers to JSON Schema, and nothing to AMQP."""
    if isinstance(value, dict):
        return {name: narrow(item) for name, item in value.items()}
    if isinstance(value, list):
        return [narrow(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return 0
    return value


def fits(text):
    """Whether the description allows it."""
    return isinstance(text, str) and len(text) <= 255 and all(c >= " " and not "\x7f" <= c <= "\x9f" for c in text)
