#!/usr/bin/env python3
"""Measures the proxy against nginx and a direct connection, on the loopback, core by core.

    python3 bench/run.py                 all lanes, then memory
    python3 bench/run.py run --quick     a look in a few seconds
    python3 bench/run.py idle            what 5,000 open streams cost
    python3 bench/run.py --help          the rest

See bench/README.md.  The raw figures go to bench/results/.
"""

import argparse
import datetime
import json
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

import kit as kits
import lanes
import payload

HERE = pathlib.Path(__file__).resolve().parent


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "|".join(["---"] + ["---:"] * (len(header) - 1)) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def ratio(value, base):
    return f"{value / base:.2f}" if base else "-"


def memory_cells(sample):
    return [f"{sample[name] / 1024:.1f}" for name in ("rss", "pss", "private")]


# --- run: the lanes -----------------------------------------------------------------------------

def measure_lane(kit, gateway, lane):
    """Warms up, then measures; the gateway's CPU time is read around the load only."""
    args = kit.args
    body = kit.body(lane.size, lane.dialect, lane.stream, lane.model)
    command = kit.load_command(gateway, body, lane.dialect, lane.model, lane.stream,
                               "--connections", args.connections,
                               "--expect", lanes.ENDINGS[lane.dialect][1 if lane.stream else 0])
    rounds = []
    kit.load(command + ["--seconds", max(0.3, args.seconds / 8)], args.seconds + 30)
    for _ in range(args.rounds):
        before = kits.cpu_seconds(gateway.pid())
        result = kit.load(command + ["--seconds", args.seconds], args.seconds + 30)
        used = kits.cpu_seconds(gateway.pid()) - before
        result["gateway_cpu_seconds"] = used
        result["cpu_us_per_request"] = used / result["completed"] * 1e6 if result["completed"] else 0
        rounds.append(result)
    rounds.sort(key=lambda r: r["cpu_us_per_request"])
    return rounds[len(rounds) // 2]


def measure_target(kit, name, chosen):
    models = [lane.model for lane in chosen]
    found = {"lanes": {}}
    with kits.Gateway(kit, name, models) as gateway:
        found["start_seconds"] = gateway.started
        found["memory_idle"] = kits.memory(gateway.pid())
        for lane in chosen:
            print(f"  {name}: {lane.name}", file=sys.stderr)
            found["lanes"][lane.name] = measure_lane(kit, gateway, lane)
        found["memory_loaded"] = kits.memory(gateway.pid())
        if name != "direct" and kit.args.settle:
            time.sleep(kit.args.settle)
            found["memory_later"] = kits.memory(gateway.pid())
    return found


def lane_rows(results, lane):
    nginx = results.get("nginx", {}).get("lanes", {}).get(lane.name)
    for name, found in results.items():
        r = found["lanes"][lane.name]
        errors = r["errors"]
        yield [lane.name, name, f'{r["requests_per_second"]:,.0f}',
               ratio(r["requests_per_second"], nginx and nginx["requests_per_second"]),
               f'{r["cpu_us_per_request"]:.1f}',
               ratio(r["cpu_us_per_request"], nginx and nginx["cpu_us_per_request"]),
               f'{r["latency_us"]["p50"]:.0f}', f'{r["latency_us"]["p99"]:.0f}',
               f'{r["first_byte_us"]["p50"]:.0f}',
               f'{errors} ({r["first_error"]} {r["bad_status"] or ""})' if errors else "0"]


def command_run(kit):
    chosen = chosen_lanes(kit.args)
    results = {name: measure_target(kit, name, chosen) for name in kit.targets()}
    table(["lane", "through", "requests/s", "of nginx", "CPU µs/request", "of nginx",
           "p50 µs", "p99 µs", "first byte µs", "errors"],
          [row for lane in chosen for row in lane_rows(results, lane)])
    print("CPU is the gateway's; for `direct` it is the mock's.\n")
    print_memory({name: found for name, found in results.items() if name != "direct"})
    return results


def print_memory(results):
    rows = []
    for name, found in results.items():
        for moment in ("idle", "loaded", "later"):
            if f"memory_{moment}" in found:
                sample = found[f"memory_{moment}"]
                rows.append([f"{name}, {moment}", *memory_cells(sample),
                             ratio(sample["private"], found["memory_idle"]["private"])])
    if rows:
        table(["memory", "RSS MB", "PSS MB", "private MB", "private of idle"], rows)
    for name, found in results.items():
        connected, healthy = found["start_seconds"]
        print(f"{name} starts: first connection {connected * 1e3:.1f} ms, "
              f"first answer {healthy * 1e3:.1f} ms")


# --- instructions: what is repeatable on a busy machine --------------------------------------------

def chosen_lanes(args):
    groups = {"pass": ["pass"], "translate": ["translate"], "all": ["pass", "translate"]}[args.lanes]
    chosen = [lane for lane in lanes.LANES if lane.group in groups
              and (not args.only or args.only in lane.name)]
    if not chosen:
        raise kits.Failure("no such lane")
    return chosen


def control(gateway, *options):
    subprocess.run(["callgrind_control", *options, str(gateway.pid())], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count_lane(kit, gateway, lane):
    """Instructions a request, of user code only, and where callgrind wrote them down."""
    args = kit.args
    body = kit.body(lane.size, lane.dialect, lane.stream, lane.model)
    command = kit.load_command(gateway, body, lane.dialect, lane.model, lane.stream,
                               "--connections", 1,
                               "--expect", lanes.ENDINGS[lane.dialect][1 if lane.stream else 0])
    kit.load(command + ["--requests", args.warm], 600)
    control(gateway, "--instr=on")
    result = kit.load(command + ["--requests", args.requests], 600)
    control(gateway, "--instr=off")
    before = set(kit.folder.glob("callgrind.out.*"))
    control(gateway, f"--dump={lane.name}")
    written = (set(kit.folder.glob("callgrind.out.*")) - before).pop()
    totals = next(line for line in written.read_text().splitlines()
                  if line.startswith("totals:"))
    kept = pathlib.Path(args.keep) / (lane.name.replace(" ", "-") + ".callgrind")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(written.read_bytes())
    count = int(totals.split()[1])
    return {"per_request": count / max(1, result["completed"]), "completed": result["completed"],
            "file": str(kept), "errors": result["errors"]}


def command_instructions(kit):
    chosen = chosen_lanes(kit.args)
    results = {}
    with kits.Gateway(kit, "proxy", [lane.model for lane in chosen], under=[
            "valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet",
            f"--callgrind-out-file={kit.folder}/callgrind.out.%p"]) as gateway:
        for lane in chosen:
            results[lane.name] = count_lane(kit, gateway, lane)
    table(["lane", "thousand instructions/request", "errors"],
          [[name, f"{found['per_request'] / 1e3:,.1f}", found["errors"]]
           for name, found in results.items()])
    print(f"callgrind_annotate shows the files in {kit.args.keep}")
    return results


def command_memory(kit):
    chosen = [lane for lane in lanes.LANES if lane.group == "pass" and lane.size != "medium"]
    results = {name: measure_target(kit, name, chosen) for name in kit.targets(direct=False)}
    print_memory(results)
    return results


# --- start --------------------------------------------------------------------------------------

def command_start(kit):
    results = {}
    for name in kit.targets(direct=False):
        samples = []
        for _ in range(kit.args.times):
            with kits.Gateway(kit, name) as gateway:
                samples.append([seconds * 1e3 for seconds in gateway.started])
        results[name] = {"connected_ms": [s[0] for s in samples], "healthy_ms": [s[1] for s in samples]}
    rows = []
    for name, found in results.items():
        for what, values in found.items():
            rows.append([f"{name}, {what}", f"{min(values):.1f}", f"{statistics.median(values):.1f}",
                         f"{max(values):.1f}"])
    table(["start", "least", "median", "most"], rows)
    return results


# --- idle: many open streams --------------------------------------------------------------------

def measure_idle(kit, name):
    args = kit.args
    with kits.Gateway(kit, name) as gateway:
        body = kit.body("small", "chat", True, "bench-idle")
        command = kit.load_command(gateway, body, "chat", "bench-idle", True, "--hold",
                                   "--connections", args.streams, "--seconds", 120)
        before = kits.memory(gateway.pid())
        load = kits.spawn(command, kit.load_core, stdout=subprocess.PIPE, text=True)
        try:
            ready = load.stdout.readline().strip() == "ready"  # or the results, after its limit
            time.sleep(2)
            cpu = kits.cpu_seconds(gateway.pid())
            time.sleep(3)
            cpu = kits.cpu_seconds(gateway.pid()) - cpu
            open_streams = json.loads(kits.http_get(gateway.upstream_port, "/stats"))["open"] - 1
            held = kits.memory(gateway.pid())
        finally:
            kits.stop(load)
        result = load.stdout.read()
        load.stdout.close()
        time.sleep(5)
        return {"ready": ready, "open_upstream": open_streams, "before": before, "held": held,
                "after": kits.memory(gateway.pid()), "cpu_seconds_in_3": cpu,
                "load": json.loads(result.splitlines()[-1]) if result.strip() else None}


def command_idle(kit):
    streams = kit.args.streams
    if kit.files < 2 * streams + 200:
        raise kits.Failure(f"{streams} streams need {2 * streams + 200} open files, the limit is {kit.files}")
    results = {name: measure_idle(kit, name) for name in kit.targets(direct=False)}
    rows = []
    for name, r in results.items():
        each = (r["held"]["private"] - r["before"]["private"]) / streams
        rows.append([name, r["open_upstream"], "yes" if r["ready"] else "NO", f"{each:.1f}",
                     *(f'{r[when]["private"] / 1024:.1f}' for when in ("before", "held", "after")),
                     f'{r["cpu_seconds_in_3"] / 3 * 100:.1f}'])
    table(["idle streams", "open", "all ready", "private KB/stream", "MB before", "MB held",
           "MB 5 s after", "CPU %"], rows)
    return results


# --- slow: readers that cannot keep up ----------------------------------------------------------

def measure_slow(kit, name):
    args = kit.args
    samples = []
    with kits.Gateway(kit, name) as gateway:
        body = kit.body("small", "chat", True, "bench-endless")
        command = kit.load_command(gateway, body, "chat", "bench-endless", True, "--rate", args.rate,
                                   "--connections", args.streams, "--seconds", args.seconds)
        before = kits.memory(gateway.pid())
        load = kits.spawn(command, kit.load_core, stdout=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + args.seconds + 30
            while load.poll() is None and time.monotonic() < deadline:
                samples.append(kits.memory(gateway.pid()))
                time.sleep(1)
        finally:
            kits.stop(load)
        result = json.loads(load.stdout.read().splitlines()[-1])
        load.stdout.close()
        time.sleep(5)
        return {"before": before, "samples": samples, "after": kits.memory(gateway.pid()), "load": result}


def command_slow(kit):
    results = {name: measure_slow(kit, name) for name in kit.targets(direct=False)}
    rows = []
    for name, r in results.items():
        peak = max(s["private"] for s in r["samples"])
        half = r["samples"][len(r["samples"]) // 2]["private"]
        rows.append([name, r["load"]["unfinished"], r["load"]["errors"],
                     *(f"{kb / 1024:.1f}" for kb in (r["before"]["private"], half, peak,
                                                     r["after"]["private"])),
                     f'{(peak - r["before"]["private"]) / kit.args.streams:.1f}'])
    table(["slow readers", "streaming", "errors", "MB before", "MB half-way", "MB peak",
           "MB 5 s after", "KB/stream at peak"], rows)
    return results


# --- disconnect: how soon the upstream learns that a client left --------------------------------

def stats(gateway):
    return json.loads(kits.http_get(gateway.upstream_port, "/stats"))


def one_disconnect(gateway):
    body = payload.build("small", "chat", True, "bench-idle")
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n{kits.KEY_HEADER}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
    left = stats(gateway)["left"]
    with socket.create_connection(("127.0.0.1", gateway.port(True)), 5) as client:
        client.sendall(head.encode() + body)
        seen = b""
        while b"data: " not in seen:
            more = client.recv(65536)
            if not more:
                raise kits.Failure(f"{gateway.name} closed an idle stream: {seen[:200]!r}")
            seen += more
        closed = time.monotonic_ns()
    while time.monotonic_ns() - closed < 10e9:
        now = stats(gateway)
        if now["left"] > left:
            return (now["left_at_ns"] - closed) / 1e3
        time.sleep(0.001)
    return None


def command_disconnect(kit):
    results = {}
    rows = []
    for name in kit.targets():
        with kits.Gateway(kit, name) as gateway:
            found = [one_disconnect(gateway) for _ in range(kit.args.times)]
        seen = [value for value in found if value is not None]
        results[name] = found
        rows.append([name, len(found), len(found) - len(seen),
                     *(f"{quantile(seen, part):.0f}" if seen else "-" for part in (0.5, 0.99, 1))])
    table(["client leaves", "times", "unseen in 10 s", "p50 µs", "p99 µs", "max µs"], rows)
    return results


# --- stall: one script that never ends ----------------------------------------------------------

def measure_stall(kit, name, offend):
    """Streams with an event each 5 ms; a third of the way in, one offending request is sent."""
    args = kit.args
    answer = {}
    with kits.Gateway(kit, name, [args.model], ["--delay-ms", args.delay_ms]) as gateway:
        body = kit.body("small", "chat", True, "bench-paced")
        command = kit.load_command(gateway, body, "chat", "bench-paced", True, "--seconds", args.seconds,
                                   "--connections", args.streams, "--expect", "data: [DONE]")

        def send_offender():
            time.sleep(args.seconds / 3)
            begin = time.monotonic()
            try:
                status, text = kits.http_post(gateway.port(), "/v1/chat/completions",
                                              payload.build(model=args.model), args.seconds)
                answer.update(status=status, body=text[:300].decode(errors="replace"))
            except OSError as error:
                answer.update(status=0, body=str(error))
            answer["seconds"] = time.monotonic() - begin

        thread = threading.Thread(target=send_offender) if offend else None
        if thread:
            thread.start()
        result = kit.load(command, args.seconds + 30)
        if thread:
            thread.join()
    return {"load": result, "answer": answer}


def command_stall(kit):
    results = {}
    for name in kit.targets():
        results[name] = measure_stall(kit, name, False)
        if name == "proxy":
            results["proxy, offended"] = measure_stall(kit, name, True)
    rows = []
    for name, r in results.items():
        gap = r["load"]["gap_us"]
        rows.append([name, r["load"]["errors"], *(f"{gap[q] / 1e3:.1f}" for q in ("p50", "p99", "max")),
                     r["answer"].get("status", "-"),
                     f'{r["answer"]["seconds"] * 1e3:.0f}' if r["answer"] else "-"])
    table(["stall", "errors", "gap p50 ms", "gap p99 ms", "largest gap ms", "offender's status",
           "offender's ms"], rows)
    return results


# --- upstream: is the mock fast enough to measure anything? -------------------------------------

def command_upstream(kit):
    """The mock against nginx answering the same JSON from its configuration, both on one core."""
    if "nginx" not in kit.targets():
        raise kits.Failure("this comparison needs nginx")
    args = kit.args
    results = {}
    for name in ("direct", "nginx"):
        with kits.Gateway(kit, name) as gateway:
            body = kit.body("small", "chat", False, "bench-model")
            command = kit.load_command(gateway, body, "chat", "bench-model", False,
                                       "--connections", args.connections, "--expect", '"choices"')
            if name == "nginx":
                command[command.index("--target") + 1] = "/static"
            kit.load(command + ["--seconds", 0.5], 30)
            before = kits.cpu_seconds(gateway.pid())
            r = kit.load(command + ["--seconds", args.seconds], args.seconds + 30)
            r["cpu_us_per_request"] = (kits.cpu_seconds(gateway.pid()) - before) / r["completed"] * 1e6
            results["mock" if name == "direct" else "nginx, return"] = r
    base = results["nginx, return"]
    table(["answering alone", "requests/s", "of nginx", "CPU µs/request", "of nginx", "p99 µs", "errors"],
          [[name, f'{r["requests_per_second"]:,.0f}',
            ratio(r["requests_per_second"], base["requests_per_second"]),
            f'{r["cpu_us_per_request"]:.2f}', ratio(r["cpu_us_per_request"], base["cpu_us_per_request"]),
            f'{r["latency_us"]["p99"]:.0f}', r["errors"]] for name, r in results.items()])
    return results


# --- command line -------------------------------------------------------------------------------

COMMANDS = {
    "run": (command_run, "all lanes: direct, nginx, proxy"),
    "memory": (command_memory, "idle, loaded, a while later"),
    "start": (command_start, "time from spawn to the first connection and the first answer"),
    "idle": (command_idle, "memory of many streams that wait"),
    "slow": (command_slow, "memory while clients read slower than the upstream writes"),
    "disconnect": (command_disconnect, "time until the upstream sees that a client left"),
    "stall": (command_stall, "largest gap in streams while one request's script never ends"),
    "instructions": (command_instructions, "instructions a request, counted by callgrind"),
    "upstream": (command_upstream, "the mock upstream against nginx: it has to be faster"),
}


def parse(argv):
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--build", default="build/release", help="build folder (%(default)s)")
    common.add_argument("--proxy", help="the proxy, if not in the build folder")
    common.add_argument("--skip", action="append", default=[], choices=["nginx", "proxy"])
    common.add_argument("--workers", type=int, default=1, help="of the proxy (%(default)s)")
    common.add_argument("--append-config", help="a file with more lines for the proxy's configuration")
    common.add_argument("--no-access-log", action="store_true", help="nginx writes no access log")
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    subs = {name: commands.add_parser(name, help=text, parents=[common])
            for name, (_, text) in COMMANDS.items()}

    def option(name, flag, kind, default, text):
        subs[name].add_argument(flag, type=kind, default=default, help=f"{text} (%(default)s)")

    for name in ("run", "memory"):
        option(name, "--settle", float, 60, "seconds between load and the last look at memory; 0: none")
        option(name, "--rounds", int, 1, "the median of this many")
    for name in ("run", "memory", "upstream"):
        option(name, "--connections", int, 32, "clients")
        option(name, "--seconds", float, 4, "of load in a lane")
    for name in ("run", "instructions"):
        subs[name].add_argument("--lanes", choices=["pass", "translate", "all"], default="pass")
        subs[name].add_argument("--only", help="lanes whose name holds this")
    option("instructions", "--warm", int, 40, "requests before it counts")
    option("instructions", "--requests", int, 100, "that are counted")
    option("instructions", "--keep", str, str(HERE / "results" / "callgrind"), "where the counts go")
    subs["run"].add_argument("--quick", action="store_true", help="one second a lane, no settling")
    option("start", "--times", int, 20, "starts")
    option("idle", "--streams", int, 5000, "open at once")
    option("slow", "--streams", int, 200, "clients")
    option("slow", "--rate", int, 1024, "bytes a second each reads")
    option("slow", "--seconds", float, 60, "how long")
    option("disconnect", "--times", int, 200, "clients that leave")
    option("stall", "--model", str, "bench-model", "whose request never ends")
    option("stall", "--streams", int, 100, "under way meanwhile")
    option("stall", "--delay-ms", float, 5, "between two events of a stream")
    option("stall", "--seconds", float, 9, "how long")
    if not argv or argv[0].startswith("--") and argv[0] != "--help":
        argv = ["run", *argv]
    args = parser.parse_args(argv)
    if getattr(args, "quick", False):
        args.seconds, args.settle = 1, 0
    return args


def save(args, results):
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    stamp = datetime.datetime.now().strftime("%Y-%m-%dT%H%M%S")
    path = folder / f"{stamp}-{args.command}.json"
    path.write_text(json.dumps({"command": args.command, "options": vars(args), "results": results},
                               indent=1))
    print(f"\nraw figures: {path}")


def main():
    args = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    try:
        with kits.Kit(args) as kit:
            if kit.gateway_core == kit.load_core:
                print("only one core: gateway and load share it, throughput means little")
            save(args, COMMANDS[args.command][0](kit))
    except kits.Failure as failure:
        sys.exit(f"bench: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
