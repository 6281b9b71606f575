"""What scripts/check-deploy checks that schemas do not say.

The Dockerfile is read as far as this project uses its language, and whatever else stands in it is an error, so
that nothing is passed over.
"""

import fnmatch
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"

faults = []


def check(holds, fault):
    if not holds:
        faults.append(fault)


def end():
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


# --- the Dockerfile ---------------------------------------------------------------------------------------


class Stage:
    def __init__(self, base, name):
        self.base, self.name, self.steps = base, name, []


def dockerfile():
    """Its stages, each with its instructions in their order."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M)
    arguments, stages = {}, []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(None, 1)
        rest = re.sub(r"\$\{(\w+)\}", lambda name: arguments[name[1]], rest) if word in ("FROM", "LABEL") else rest
        if word == "ARG":
            name, _, default = rest.strip().partition("=")
            arguments[name] = default
        elif word == "FROM":
            base, _, name = rest.strip().partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].steps.append((word, rest.strip()))
    return stages


def pairs(text):
    return dict(part.split("=", 1) for part in shlex.split(text))


def image():
    """What the last stage says about the image."""
    said = {"ENV": {}, "LABEL": {}, "COPY": []}
    for word, rest in dockerfile()[-1].steps:
        if word in ("ENV", "LABEL"):
            said[word].update(pairs(rest))
        elif word == "COPY":
            said[word].append(rest)
        elif word == "HEALTHCHECK":
            said[word] = yaml.safe_load(rest[rest.index("CMD ") + 4 :])
        elif word in ("ENTRYPOINT", "CMD"):
            said[word] = yaml.safe_load(rest)
        elif word in ("USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL"):
            said[word] = rest
        else:
            raise SystemExit(f"error: the Dockerfile's last stage has {word}, which this script does not know")
    return said


def let_through(path):
    """Whether .dockerignore lets the build see this path."""
    seen = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern, opens = line.removeprefix("!"), line.startswith("!")
        parts = pathlib.PurePath(path).parts
        heads = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        if any(fnmatch.fnmatch(head, pattern) for head in heads):
            seen = opens
    return seen


def copy(sources, directory, to):
    """COPY, from what the build may see."""
    for source in sources:
        for path in sorted((ROOT / source).rglob("*")) if (ROOT / source).is_dir() else [ROOT / source]:
            below = path.relative_to(ROOT)
            if path.is_dir() or not let_through(str(below)):
                continue
            # A folder is copied as what is in it.
            place = path.relative_to(ROOT / source) if (ROOT / source).is_dir() else path.name
            (directory / to / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, directory / to / place)
        if not let_through(source.rstrip("/")):
            raise SystemExit(f"error: the Dockerfile copies {source}, which .dockerignore holds back")


def build(place):
    """The first stage's own commands, below `place`."""
    directory = pathlib.Path(place) / "build"
    # What cargo has built stays; it is what a layer is.
    for path in directory.iterdir() if directory.exists() else []:
        if path.name != "target":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    directory.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    runs = 0
    for word, rest in dockerfile()[0].steps:
        if word == "WORKDIR":
            continue
        if word == "COPY":
            *sources, to = rest.split()
            copy(sources, directory, to)
        elif word == "RUN":
            runs += 1
            print(f"   {rest}", flush=True)
            ran = subprocess.run(
                ["sh", "-c", rest], cwd=directory, env=environment, stderr=subprocess.PIPE, text=True, check=False
            )
            compiled = re.findall(r"^ *Compiling (\S+)", ran.stderr, flags=re.M)
            if ran.returncode:
                sys.stderr.write(ran.stderr)
                raise SystemExit(f"error: this ended with {ran.returncode}: {rest}")
            if runs > 1:
                check(compiled == ["amqpost"], f"a change of the sources builds {compiled} again")
        else:
            raise SystemExit(f"error: the build stage has {word}, which this script does not know")
    check(runs == 2, f"the build stage should build twice, and builds {runs} times")
    needed = subprocess.run(
        ["ldd", directory / "image/usr/local/bin/amqpost"], capture_output=True, text=True, check=True
    ).stdout
    libraries = set(re.findall(r"(lib\w+|ld-linux[\w-]*)[-.\w]*\.so", needed)) - {"libdl", "libpthread", "librt"}
    there = {"libc", "libm", "libgcc_s", "libstdc", "ld-linux-x86-64", "ld-linux-aarch64"}
    check(libraries <= there, f"the image has no {libraries - there}")
    end()


def prepare_image(built, work):
    """The image's root in `work`, with the libraries that its base has, and its commands for bash."""
    work, said = pathlib.Path(work), image()
    root = work / "root"
    shutil.copytree(pathlib.Path(built) / "usr", root / "usr")
    needed = subprocess.run(["ldd", root / "usr/local/bin/amqpost"], capture_output=True, text=True, check=True)
    certificates = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    libraries = [pathlib.Path(path) for path in re.findall(r"/\S+\.so[.\d]*", needed.stdout)]
    for path in libraries + ([certificates] if certificates.exists() else []):
        to = root / path.relative_to("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, to)
    directory, (user, group) = said["WORKDIR"], said["USER"].split(":")
    (root / directory.lstrip("/")).mkdir()
    (root / "run/secrets").mkdir(parents=True)
    volume = work / "volume"
    volume.mkdir()
    os.chown(volume, int(user), int(group))
    for folder in (work, root, work / "secrets"):
        folder.chmod(0o755)
    variables = dict(said["ENV"])
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["amqpost"]
    variables |= compose["environment"]
    lines = {
        "image_user": user,
        "image_group": group,
        "image_directory": directory,
        "image_variables": [f"{name}={value}" for name, value in variables.items()],
        "image_start": said["ENTRYPOINT"] + said["CMD"],
        "image_healthcheck": said["HEALTHCHECK"],
    }
    (work / "image.sh").write_text("".join(f"{name}={quoted(value)}\n" for name, value in lines.items()))


def quoted(value):
    return f"({shlex.join(value)})" if isinstance(value, list) else shlex.quote(value)


# --- the manifests ----------------------------------------------------------------------------------------


def manifests():
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in KUBERNETES.glob("*.yaml")}
    check(set(listed) == files - {"kustomization.yaml", "secret.example.yaml"}, f"kustomization.yaml lists {listed}")
    documents = []
    for name in files - {"kustomization.yaml"}:
        documents += yaml.safe_load_all((KUBERNETES / name).read_text())
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def configuration(all_of_it):
    return all_of_it["ConfigMap", "amqpost"]["data"]["amqpost.toml"]


def number(toml, key, default):
    found = re.search(rf"^{key} = (\d+)$", toml, flags=re.M)
    return int(found[1]) if found else default


def consistent():
    said, version = image(), re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), flags=re.M)[1]
    rust = re.search(r'^rust-version = "(.*)"', (ROOT / "Cargo.toml").read_text(), flags=re.M)[1]
    base = dockerfile()[0].base
    check(base.startswith(f"rust:{rust}-"), f"the Dockerfile builds with {base}, and Cargo.toml says {rust}")
    check(said["LABEL"]["org.opencontainers.image.version"] == version, "the image's label has another version")
    check(said["LABEL"]["org.opencontainers.image.base.name"] == dockerfile()[-1].base, "the label has another base")
    check(said["VOLUME"] == said["WORKDIR"], "the volume is not the folder that the gateway starts in")
    check(f"sqlite:{said['VOLUME']}/" in said["ENV"]["AMQPOST_STORE_URL"], "the store is not in the volume")
    check(said["HEALTHCHECK"][0] == said["ENTRYPOINT"][0], "the health check is another program")
    compose_is_consistent(said, version)
    kubernetes_is_consistent(said, version)
    end()


def compose_is_consistent(said, version):
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    gateway = compose["services"]["amqpost"]
    check(gateway["image"] == f"amqpost:{version}", f"compose.yaml has {gateway['image']}")
    check(gateway["user"] == said["USER"] and gateway["read_only"], "compose.yaml has another user, or may write")
    check(gateway["volumes"] == [f"amqpost-data:{said['VOLUME']}"], "compose.yaml keeps the store elsewhere")
    for name, service in compose["services"].items():
        tag = service["image"].rpartition(":")[2]
        check(re.match(r"v?\d+(\.\d+)+", tag), f"{name} has an image without a version: {service['image']}")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                check((ROOT / "deploy" / source).exists(), f"{name} mounts {source}, which is not there")
            else:
                check(source in compose["volumes"], f"{name} mounts {source}, which is not declared")
        for published in service.get("ports", []):
            check(published.startswith("127.0.0.1:"), f"{name} publishes {published} to everybody")
    for path in re.findall(r"/etc/prometheus/(\S+?)[\"',\s]", str(compose["services"]["prometheus"]["command"])):
        check((ROOT / "deploy/prometheus" / path).exists(), f"Prometheus reads {path}, which is not there")


def kubernetes_is_consistent(said, version):
    all_of_it = manifests()
    stateful = all_of_it["StatefulSet", "amqpost"]["spec"]
    template, toml = stateful["template"], configuration(all_of_it)
    pod, labels = template["spec"], template["metadata"]["labels"].items()
    (container,) = pod["containers"]
    check(container["image"] == f"amqpost:{version}", f"the StatefulSet has {container['image']}")
    user, group = map(int, said["USER"].split(":"))
    security = pod["securityContext"]
    check((security["runAsUser"], security["runAsGroup"]) == (user, group), "the pod has another user than the image")
    check(security["fsGroup"] == group, "the pod's user may not write to its volume")
    check(stateful["serviceName"] in {name for kind, name in all_of_it if kind == "Service"}, "there is no such service")
    budget = all_of_it["PodDisruptionBudget", "amqpost"]["spec"]["selector"]["matchLabels"]
    policy = all_of_it["NetworkPolicy", "amqpost"]["spec"]["podSelector"]["matchLabels"]
    selectors = [stateful["selector"]["matchLabels"], budget, policy]
    selectors += [one["spec"]["selector"] for (kind, _), one in all_of_it.items() if kind == "Service"]
    for selector in selectors:
        check(selector.items() <= labels, f"{selector} selects no pod of the StatefulSet")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    check(str(ports["http"]) == said["EXPOSE"], "the pod has another port than the image")
    for (kind, name), one in all_of_it.items():
        for port in one["spec"]["ports"] if kind == "Service" else []:
            check(port["targetPort"] in ports, f"{name} leads to {port['targetPort']}, which no container has")
    described = (ROOT / "openapi.yaml").read_text()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        get = container[probe]["httpGet"]
        check(get["port"] in ports and f"\n  {get['path']}:\n" in described, f"{probe} asks {get}")
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    declared = {volume["name"] for volume in pod["volumes"]}
    declared |= {claim["metadata"]["name"] for claim in stateful["volumeClaimTemplates"]}
    check(set(mounts) == declared, f"{mounts} are mounted, and {declared} declared")
    check(mounts["data"] == said["VOLUME"], "the claim is not where the image keeps its store")
    secrets = set(re.findall(rf"{mounts['secrets']}/(\w+)", toml))
    example = set(all_of_it["Secret", "amqpost"]["stringData"])
    check(secrets == example, f"the configuration reads {secrets}, and the secret has {example}")
    stop = number(toml, "shutdown_delay_seconds", 0) + number(toml, "shutdown_grace_seconds", 20)
    check(pod["terminationGracePeriodSeconds"] > stop + 5, f"a pod needs {stop} s to stop, and gets no more")
    (claim,) = stateful["volumeClaimTemplates"]
    room = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) << 30
    check(room > 1.2 * number(toml, "store_bytes_max", 10 << 30), "the volume is hardly larger than the store may be")


def configurations(amqpost, secrets):
    """The configurations of compose.yaml, Kubernetes and systemd, with secrets that were made."""
    environment = {"PATH": os.environ["PATH"]}

    def holds(name, variables, good=True):
        variables = {key: value.replace("/run/secrets/amqpost/", "/run/secrets/") for key, value in variables.items()}
        variables = {key: value.replace("/run/secrets", secrets) for key, value in variables.items()}
        ran = subprocess.run(
            [amqpost, "check-config"], env=environment | variables, capture_output=True, text=True, check=False
        )
        check((ran.returncode == 0) == good, f"{name}: check-config says {ran.stdout}{ran.stderr}")

    said = image()["ENV"]
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["amqpost"]
    holds("compose.yaml", said | compose["environment"])
    toml = configuration(manifests()).replace("/run/secrets/amqpost", secrets)
    file = pathlib.Path(secrets) / "amqpost.toml"
    file.write_text(toml)
    holds("Kubernetes", said | {"AMQPOST_CONFIG": str(file)})
    for key, text in manifests()["Secret", "amqpost"]["stringData"].items():
        variable = f"AMQPOST_{key.upper()}"
        if key != "broker_url":
            holds(f"secret.example.yaml, {key}", {variable: text}, good=False)
    unit = (ROOT / "deploy/systemd/amqpost.service").read_text().replace("%d/", "/run/secrets/")
    variables = pairs(" ".join(re.findall(r"^Environment=(.*)$", unit, flags=re.M)))
    check(variables.pop("AMQPOST_CONFIG") == "/etc/amqpost/amqpost.toml", "the service has another file")
    holds("amqpost.service", variables)
    end()


COMMANDS = {"consistent": consistent, "build": build, "image": prepare_image, "configurations": configurations}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
