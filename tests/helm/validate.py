"""`validate.py VERSION,… FILE…` holds manifests to the schemas of each Kubernetes version, and those of KEDA and of the Prometheus operator to
their definitions. What a schema does not know is a fault, too: a cluster would drop it without a word. It prints the kinds of each file on a
line, and all faults, with the file's name, on standard error."""

import sys

import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as monitoring
from kubernetes_validate import utils

OPERATORS = {
    "keda.sh/v1alpha1": keda,
    "monitoring.coreos.com/v1": monitoring,
}


def faults(manifest, versions):
    """Says what is wrong with a manifest."""
    operator = OPERATORS.get(manifest["apiVersion"])
    if operator is None:
        for version in versions:
            try:
                utils.validate(manifest, version, strict=True)
            except utils.ValidationError as error:
                yield f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
            except utils.SchemaNotFoundError as error:
                yield f"Kubernetes {version}: {error.message}"
        return
    try:
        read = getattr(operator, manifest["kind"]).model_validate(manifest)
    except ValueError as error:
        yield str(error)
        return
    # The models pass over what they do not know: it is then not in what they write.
    yield from lost(manifest, read.model_dump(mode="json", by_alias=True, exclude_unset=True), "")


def lost(written, read, place):
    """Says what is in `written` and not, or not so, in `read`."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            if key in read:
                yield from lost(value, read[key], f"{place}.{key}")
            else:
                yield f"unknown field: {place}.{key}"
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for index, (one, other) in enumerate(zip(written, read)):
            yield from lost(one, other, f"{place}[{index}]")
    elif written != read:
        yield f"read as {read!r}: {place}"


def main():
    versions, files = sys.argv[1].split(","), sys.argv[2:]
    for file in files:
        with open(file, encoding="utf-8") as text:
            manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
        print(" ".join(sorted(manifest["kind"] for manifest in manifests)))
        for manifest in manifests:
            for fault in faults(manifest, versions):
                print(f"{file}: {manifest['kind']} {manifest['metadata']['name']}: {fault}", file=sys.stderr)


main()
