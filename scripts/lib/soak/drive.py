"""Runs a gateway under steady mixed load, samples it, and judges what it saw."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import judge
from load import Load, Receiver, request

SAMPLE_EVERY_SECONDS = 5
CALIBRATE_SECONDS = 20
# Small, so that everything that is bounded reaches its bound within minutes.
RETENTION = {
    "AMQPOST_HISTORY_SECONDS": "120",
    "AMQPOST_HISTORY_BYTES_MAX": "33554432",
    "AMQPOST_STORE_BYTES_MAX": "268435456",
    "AMQPOST_IDEMPOTENCY_SECONDS": "120",
}


def topology(name, minutes):
    """A queue that forgets its oldest messages, and vanishes some time after the end."""
    arguments = {"x-max-length": 1000, "x-overflow": "drop-head", "x-expires": int((minutes + 30) * 60_000)}
    return {
        "exchanges": [{"name": name, "type": "direct", "durable": True, "auto_delete": True}],
        "queues": [{"name": name, "durable": True, "arguments": arguments}],
        "bindings": [{"source": name, "destination": name, "destination_type": "queue", "routing_key": "key"}],
    }


class Control:
    """What the machine itself takes for what a 202 needs: to be woken, to write, and to sync."""

    def __init__(self, folder):
        self.file = (folder / "control").open("wb", buffering=0)
        self.took = []
        threading.Thread(target=self.measure, daemon=True).start()

    def measure(self):
        while True:
            due = time.monotonic() + 0.02
            time.sleep(0.02)
            os.pwrite(self.file.fileno(), b"x" * 4096, 0)
            os.fdatasync(self.file.fileno())
            self.took.append(time.monotonic() - due)

    def take(self):
        taken, self.took = self.took, []
        return taken


class Gateway:
    """The process, in a folder of its own."""

    def __init__(self, binary, broker, name, minutes, folder):
        self.folder = folder
        definitions = folder / "topology.json"
        definitions.write_text(json.dumps(topology(name, minutes)))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AMQPOST_")}
        environment.update(RETENTION)
        environment.update(
            AMQPOST_LISTEN="127.0.0.1:0",
            AMQPOST_BROKER_URL=broker,
            AMQPOST_STORE_URL=f"sqlite:{folder}/store/amqpost.db",
            AMQPOST_TOPOLOGY_FILE=str(definitions),
            AMQPOST_WEBHOOK_ALLOW="127.0.0.0/8",
        )
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [binary, "serve"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.address = self.wait_address()

    def wait_address(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.log.read_text().splitlines():
                if "listening" in line and "address=" in line:
                    return line.split("address=")[1].split()[0]
            time.sleep(0.1)
        raise SystemExit(f"the gateway did not start:\n{self.log.read_text()}")

    def sample(self):
        process = Path(f"/proc/{self.process.pid}")
        status = dict(
            line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
        )
        stat = (process / "stat").read_text().rsplit(") ", 1)[1].split()
        ticks = int(stat[11]) + int(stat[12])
        files = [file.stat().st_size for file in (self.folder / "store").iterdir()]
        return {
            "cpu_seconds": ticks / os.sysconf("SC_CLK_TCK"),
            "memory_bytes": int(status["VmRSS"].split()[0]) * 1024,
            "threads": int(status["Threads"]),
            "descriptors": len(list((process / "fd").iterdir())),
            "store_bytes": sum(files),
        }

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=120)


def percentile(values, share):
    return sorted(values)[int((len(values) - 1) * share)] if values else 0.0


def sample(gateway, load, control, started, before):
    row = {"seconds": round(time.monotonic() - started, 1), **gateway.sample()}
    accepted, latencies = load.take()
    machine = control.take()
    row["accepted_per_second"] = round(accepted / SAMPLE_EVERY_SECONDS, 1)
    row["cpu_us_per_message"] = round(1e6 * (row["cpu_seconds"] - before["cpu_seconds"]) / max(1, accepted), 1)
    row["latency_median_ms"] = round(1000 * percentile(latencies, 0.5), 2)
    row["latency_p99_ms"] = round(1000 * percentile(latencies, 0.99), 2)
    row["machine_median_ms"] = round(1000 * percentile(machine, 0.5), 2)
    row["machine_p99_ms"] = round(1000 * percentile(machine, 0.99), 2)
    stats = request(gateway.address, "GET", "/v1/stats")[1]
    row["pending_messages"] = stats["counts"]["pending"]
    return row


def run(gateway, load, control, minutes, table):
    """Samples until the time is over, and writes each sample at once."""
    started = time.monotonic()
    writer = None
    load.take()
    row = gateway.sample()
    while time.monotonic() - started < minutes * 60:
        time.sleep(SAMPLE_EVERY_SECONDS)
        row = sample(gateway, load, control, started, row)
        if writer is None:
            writer = csv.DictWriter(table, row.keys())
            writer.writeheader()
        writer.writerow(row)
        table.flush()


def calibrate(gateway, load):
    """A third of what goes through without a throttle."""
    time.sleep(5)
    load.take()
    time.sleep(CALIBRATE_SECONDS)
    accepted, _ = load.take()
    rate = accepted / CALIBRATE_SECONDS / 3
    print(f"unthrottled it took {rate * 3:.0f} messages a second; going on with {rate:.0f}", flush=True)
    return rate


def account(gateway, load):
    """What is wrong in the end."""
    wrong = [f"{count} × {what}" for what, count in load.failures.items()]
    deadline = time.monotonic() + 120
    while True:
        counts = request(gateway.address, "GET", "/v1/stats")[1]["counts"]
        if counts["pending"] == 0 or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    print(f"counts {counts}; accepted {load.accepted}", flush=True)
    if counts["pending"]:
        wrong.append(f"{counts['pending']} messages are still pending")
    if sum(counts.values()) != load.accepted:
        wrong.append(f"{load.accepted} were accepted, and {sum(counts.values())} are counted")
    if load.events == 0 or load.receiver.received == 0:
        wrong.append("no events or no webhooks came")
    return wrong


def main():
    binary, broker, minutes, rate, out = sys.argv[1:]
    minutes, rate, out = float(minutes), float(rate), Path(out)
    broker = urllib.parse.urlunsplit(urllib.parse.urlsplit(broker))
    name = f"amqpost-soak-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="amqpost-soak-") as folder:
        gateway = Gateway(binary, broker, name, minutes, Path(folder))
        try:
            load = Load(gateway.address, name, Receiver())
            load.start(rate or None)
            if not rate:
                load.rate = calibrate(gateway, load)
            print(f"{minutes:g} minutes at {load.rate:.0f} messages a second, {out}/soak.csv", flush=True)
            with (out / "soak.csv").open("w", newline="") as table:
                run(gateway, load, Control(Path(folder)), minutes, table)
            load.stop()
            wrong = account(gateway, load)
            print(f"{load.events} events and {load.receiver.received} webhooks came", flush=True)
        finally:
            ended = gateway.stop()
    if ended != 0:
        wrong.append(f"the gateway ended with {ended}")
    for what in wrong:
        print(f"WRONG: {what}")
    grew = judge.judge(out / "soak.csv")
    judge.draw(out / "soak.csv", out / "soak.svg")
    raise SystemExit(1 if wrong or grew else 0)


if __name__ == "__main__":
    main()
