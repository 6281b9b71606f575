"""Callers of every kind, at one rate together."""

import collections
import http.client
import http.server
import json
import random
import threading
import time
import urllib.parse

WORKERS = 12
BATCH = 40
PATIENCE_SECONDS = 60
# What a caller does, how often, and how many messages that is.
MIX = [("single", 20, 1), ("raw", 10, 1), ("keyed", 10, 1), ("batch", 20, BATCH), ("waiting", 6, 1),
       ("scheduled", 6, 1), ("cancelled", 2, 1), ("replayed", 1, 1), ("list", 2, 0), ("lookup", 2, 0), ("group", 2, 0)]
MESSAGES_PER_ACTION = sum(weight * count for _, weight, count in MIX) / sum(weight for _, weight, _ in MIX)


def request(address, method, path, body=None, headers=()):
    """One request over a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE_SECONDS)
    try:
        return send(connection, method, path, body, headers)
    finally:
        connection.close()


def send(connection, method, path, body=None, headers=()):
    """Status and JSON."""
    headers = dict(headers)
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read()
    is_json = "json" in (response.getheader("Content-Type") or "")
    return response.status, json.loads(text) if is_json else text


class Receiver:
    """Takes webhooks."""

    def __init__(self):
        self.received = 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received += 1
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Load:
    """All callers. `accepted` counts the messages that were; `failures` everything that no caller should see."""

    def __init__(self, address, exchange, receiver):
        self.address = address
        self.exchange = exchange
        self.receiver = receiver
        self.rate = None
        self.accepted = 0
        self.events = 0
        self.failures = collections.Counter()
        self.lock = threading.Lock()
        self.interval = (0, [])
        self.stopping = False
        self.next_action = time.monotonic()
        self.threads = []

    def start(self, rate):
        self.rate = rate
        hook = {"url": self.receiver.url, "events": ["message.returned", "message.failed"]}
        status, answer = request(self.address, "POST", "/v1/webhooks", hook)
        if status != 201:
            raise SystemExit(f"no webhook: {status} {answer}")
        for number in range(WORKERS):
            thread = threading.Thread(target=self.work, args=(random.Random(number),), daemon=True)
            thread.start()
            self.threads.append(thread)
        for path in ("/v1/events", "/v1/events?status=returned"):
            threading.Thread(target=self.follow, args=(path,), daemon=True).start()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()

    def take(self):
        """Messages that were accepted and how long single ones took, since the last time."""
        with self.lock:
            taken, self.interval = self.interval, (0, [])
        return taken

    def pause(self):
        """Until the next action is due; the lock makes one queue of all workers."""
        if self.rate is None:
            return
        with self.lock:
            now = time.monotonic()
            due = max(self.next_action, now - 1)
            self.next_action = due + MESSAGES_PER_ACTION / self.rate
        time.sleep(max(0, due - now))

    def work(self, chance):
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_SECONDS)
        ids = collections.deque(maxlen=20)
        names, weights = [name for name, _, _ in MIX], [weight for _, weight, _ in MIX]
        while not self.stopping:
            self.pause()
            name = chance.choices(names, weights)[0]
            try:
                self.act(connection, chance, name, ids)
            except (OSError, http.client.HTTPException) as error:
                self.failed(f"{name}: {type(error).__name__}")
                connection.close()

    def failed(self, what):
        with self.lock:
            self.failures[what] += 1

    def note(self, name, ids, got, expected, started):
        """Counts an answer that should have one of the `expected` statuses."""
        status, answer = got
        if status not in expected:
            code = answer.get("code") if isinstance(answer, dict) else None
            self.failed(f"{name}: {status} {code}")
            return None
        new = [one["id"] for one in answer["results"]] if "results" in answer else [answer["id"]]
        ids.extend(new[:2])
        with self.lock:
            self.accepted += len(new)
            count, latencies = self.interval
            if name in ("single", "raw"):
                latencies.append(time.monotonic() - started)
            self.interval = (count + len(new), latencies)
        return new[0]

    def message(self, chance):
        """One in fifty has nowhere to go."""
        key = "nowhere" if chance.random() < 0.02 else "key"
        minute = int(time.time() / 60)
        return {"exchange": self.exchange, "routing_key": key, "payload": "x" * 256, "group": f"minute {minute}",
                "ordering_key": str(chance.randrange(1000))}

    def act(self, connection, chance, name, ids):
        started = time.monotonic()
        post = lambda path, body, headers=(): send(connection, "POST", path, body, headers)
        message = self.message(chance)
        if name == "single":
            self.note(name, ids, post("/v1/messages", message), [202], started)
        elif name == "raw":
            path = f"/v1/exchanges/{self.exchange}/messages?routing_key=key"
            self.note(name, ids, post(path, b"y" * 256, {"Amqp-Type": "soak"}), [202], started)
        elif name == "keyed":
            key = {"Idempotency-Key": str(chance.getrandbits(64))}
            self.note(name, ids, post("/v1/messages", message, key), [202], started)
            status, _ = post("/v1/messages", message, key)
            if status not in (200, 202):
                self.failed(f"repeat: {status}")
        elif name == "batch":
            items = [self.message(chance) for _ in range(BATCH)]
            self.note(name, ids, post("/v1/messages/batch", {"messages": items}), [202], started)
        elif name == "waiting":
            self.note(name, ids, post("/v1/messages", message, {"Prefer": "wait=30"}), [200], started)
        elif name == "scheduled":
            self.note(name, ids, post("/v1/messages", {**message, "delay_ms": chance.randrange(20_000)}), [202], started)
        elif name == "cancelled":
            accepted = self.note(name, ids, post("/v1/messages", {**message, "delay_ms": 600_000}), [202], started)
            status, _ = post(f"/v1/messages/{accepted}/cancel", b"")
            if status != 200:
                self.failed(f"cancel: {status}")
        elif name == "replayed":
            lost = {**message, "routing_key": "nowhere"}
            accepted = self.note(name, ids, post("/v1/messages", lost, {"Prefer": "wait=30"}), [200], started)
            status, _ = post(f"/v1/messages/{accepted}/replay", b"")
            if status != 202:
                self.failed(f"replay: {status}")
        else:
            self.ask(connection, name, ids)

    def ask(self, connection, name, ids):
        if name == "lookup":
            status, _ = send(connection, "POST", "/v1/messages/lookup", {"ids": list(ids)}) if ids else (200, None)
        else:
            group = urllib.parse.quote(f"minute {int(time.time() / 60)}")
            path = "/v1/messages?status=returned&limit=50" if name == "list" else f"/v1/groups/{group}"
            status, _ = send(connection, "GET", path)
        # Nobody may have used the group of a minute that has just begun.
        if status != 200 and (name, status) != ("group", 404):
            self.failed(f"{name}: {status}")

    def follow(self, path):
        """Reads a stream of events, and comes back with the last id when it ends."""
        last = None
        while not self.stopping:
            try:
                connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_SECONDS)
                connection.request("GET", path, headers={"Last-Event-ID": last} if last else {})
                for line in connection.getresponse():
                    if line.startswith(b"id: "):
                        last = line[4:].strip().decode()
                    self.events += line.startswith(b"data: ")
            except (OSError, http.client.HTTPException):
                if not self.stopping:
                    time.sleep(1)
