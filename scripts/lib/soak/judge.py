"""Whether what was sampled is a plateau, and a picture of it.

The second quarter is warm, and the last one is late: the median of each column must not be higher late than warm,
but for a share and a rest that a quiet machine has too.
"""

import csv
import statistics
import sys

# Column, what it is called, how much more may be late: as a factor and in addition; and how it is written.
MEASURES = [
    ("memory_bytes", "resident memory, MiB", 1.10, 4 << 20, 1 << 20),
    ("store_bytes", "files of the store, MiB", 1.10, 4 << 20, 1 << 20),
    ("descriptors", "descriptors", 1.10, 12, 1),
    # Threads for questions to the store come when several ask at once, and stay while there is work.
    ("threads", "threads", 1.0, 8, 1),
    ("pending_messages", "pending messages", 1.5, 500, 1),
    ("cpu_us_per_message", "CPU of a message, µs", 1.25, 20, 1),
    ("latency_median_ms", "latency of a 202, median, ms", 1.5, 3, 1),
    ("latency_p99_ms", "latency of a 202, 99 %, ms", 2.0, 20, 1),
]
# A machine that others work on is slower at times: what it takes for a write and a sync, beside each latency.
MACHINE = {"latency_median_ms": "machine_median_ms", "latency_p99_ms": "machine_p99_ms"}
SAMPLES_MIN = 40


def columns(path):
    with open(path, newline="") as table:
        rows = list(csv.DictReader(table))
    if len(rows) < SAMPLES_MIN:
        raise SystemExit(f"{len(rows)} samples are too few to judge; there must be {SAMPLES_MIN}")
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def quarters(values):
    quarter = len(values) // 4
    return statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])


def judge(path):
    """Prints both medians of each measure; true when one of them is no plateau."""
    samples = columns(path)
    grew = False
    print(f"{'':32}{'second quarter':>16}{'last quarter':>16}")
    for name, title, factor, rest, unit in MEASURES:
        warm, late = quarters(samples[name])
        slower = 1.0
        if name in MACHINE:
            machine = quarters(samples[MACHINE[name]])
            slower = max(1.0, machine[1] / max(machine[0], 0.01))
        holds = late <= warm * factor * slower + rest
        grew |= not holds
        print(f"{title:32}{warm / unit:16.2f}{late / unit:16.2f}  {'plateau' if holds else 'GREW'}{f', the machine {slower:.1f} ×' if slower > 1 else ''}")
    rate = statistics.median(samples["accepted_per_second"])
    print(f"{len(samples['seconds'])} samples over {samples['seconds'][-1] / 60:.0f} minutes, {rate:.0f} messages a second")
    return grew


def panel(title, seconds, values, top, width, height):
    """One measure over time, with the medians of the two quarters that are compared."""
    highest = max(values) * 1.15 or 1
    x = lambda second: 60 + (width - 80) * second / seconds[-1]
    y = lambda value: top + height - 18 - (height - 42) * value / highest
    points = " ".join(f"{x(second):.1f},{y(value):.1f}" for second, value in zip(seconds, values))
    quarter = len(values) // 4
    lines = []
    for median, start, end in zip(quarters(values), (quarter, -quarter), (2 * quarter - 1, -1)):
        lines.append(f'<line x1="{x(seconds[start]):.1f}" x2="{x(seconds[end]):.1f}" y1="{y(median):.1f}"'
                     f' y2="{y(median):.1f}" stroke="#c40" stroke-width="2"/>')
    bottom = top + height - 18
    return (f'<text x="60" y="{top + 14}" font-weight="bold">{title}</text>'
            f'<line x1="60" x2="{width - 20}" y1="{bottom}" y2="{bottom}" stroke="#999"/>'
            f'<text x="54" y="{bottom}" text-anchor="end">0</text>'
            f'<text x="54" y="{y(max(values)) + 4:.1f}" text-anchor="end">{max(values):.4g}</text>'
            f'<polyline points="{points}" fill="none" stroke="#048" stroke-width="1"/>' + "".join(lines))


def draw(path, target):
    samples = columns(path)
    width, height = 900, 120
    panels = [("accepted_per_second", "accepted messages a second", 1)]
    panels += [(name, title, unit) for name, title, _, _, unit in MEASURES]
    panels += [("machine_p99_ms", "a write and a sync without the gateway, 99 %, ms", 1)]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height * len(panels) + 24}"'
             ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>']
    for number, (name, title, unit) in enumerate(panels):
        values = [value / unit for value in samples[name]]
        parts.append(panel(title, samples["seconds"], values, number * height + 4, width, height))
    minutes = samples["seconds"][-1] / 60
    parts.append(f'<text x="60" y="{height * len(panels) + 16}">{minutes:.0f} minutes; in red the medians of the'
                 " second and of the last quarter</text></svg>\n")
    with open(target, "w") as picture:
        picture.write("\n".join(parts))


if __name__ == "__main__":
    raise SystemExit(1 if judge(sys.argv[1]) else 0)
