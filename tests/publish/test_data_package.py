"""A figure's table and its description: the data can be rebuilt from them alone, and they keep to the specification."""

import csv
import hashlib
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nld.cli import main
from nld.figures._render.style import new_figure
from nld.figures.recording import data_package
from nld.figures.recording.long_table import long_table
from tests.publish.scratch import REPOSITORY

ORIGIN = {
    "figure": "fig-x", "profile": "quick", "parameters": {"seed": 3}, "source_hash": "0" * 16,
    "caption": "*A* line. B.", "alt": "A line.", "nld_version": "1.2.3",
}  # fmt: skip


def written(data, folder):
    """The files of a figure with this data, as texts."""
    (folder / "data.csv").write_text(long_table(data), "utf-8")
    (folder / "data.nc").write_bytes(b"a stand-in")
    data_package.write(data, folder, ORIGIN)
    return (folder / "data.csv").read_bytes().decode(), (folder / data_package.FILE).read_text("utf-8")


# -- a reader that knows the format alone --------------------------------------------------------------------------


def read(table: str, description: str) -> xr.Dataset:
    package = json.loads(description)
    (resource,) = package["resources"]
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    sizes = {each["name"]: each["size"] for each in package["dimensions"]}
    fields = {each["of"]: each["name"] for each in resource["schema"]["fields"] if "of" in each}

    def array(described, cells):
        shape = [sizes[dimension] for dimension in described["dimensions"]]
        kind = np.dtype(described["dtype"])
        convert = {"b": lambda cell: {"true": True, "false": False}[cell], "f": float, "i": int, "u": int}
        values = [convert.get(kind.kind, str)(cell) for cell in cells]
        filled = np.empty(len(values), kind)
        filled[:] = values
        return tuple(described["dimensions"]), filled.reshape(shape), attributes(described["attributes"])

    def rows_of(name):
        return [row for row in rows if row["variable"] == name]

    variables = {
        each["name"]: array(each, [r["value"] for r in rows_of(each["name"])]) for each in package["variables"]
    }
    coordinates = {}
    for each in package["coordinates"]:
        if each["rows"] or 0 in [sizes[d] for d in each["dimensions"]]:
            coordinates[each["name"]] = array(each, [row["value"] for row in rows_of(each["name"])])
            continue
        carrier = next(
            v for v in package["variables"]
            if set(each["dimensions"]) <= set(v["dimensions"]) and all(sizes[d] for d in v["dimensions"])
        )  # fmt: skip
        column = [row[fields[each["name"]]] for row in rows_of(carrier["name"])]
        along = np.array(column, object).reshape([sizes[d] for d in carrier["dimensions"]])
        first = along[tuple(slice(None) if d in each["dimensions"] else 0 for d in carrier["dimensions"])]
        kept = [d for d in carrier["dimensions"] if d in each["dimensions"]]
        cells = np.asarray(first, object).transpose([kept.index(d) for d in each["dimensions"]]).ravel()
        coordinates[each["name"]] = array(each, list(cells))
    return xr.Dataset(variables, coordinates, attributes(package["attributes"]))


def attributes(described):
    def value(found):
        if isinstance(found, list):
            return [value(each) for each in found]
        return float(found["number"]) if isinstance(found, dict) else found

    return {name: value(found) for name, found in described.items()}


def assert_same(one, other):
    """Values to the last bit, types, dimensions, coordinates, attributes, and the order of all of them."""
    assert list(one.data_vars) == list(other.data_vars)
    assert list(one.coords) == list(other.coords)
    assert dict(one.sizes) == dict(other.sizes)
    plain = [json.loads(json.dumps(each.attrs, default=lambda v: v.tolist())) for each in (one, other)]
    assert repr(plain[0]) == repr(plain[1])
    for name in one.variables:
        a, b = one[name].variable, other[name].variable
        assert (a.dims, a.dtype, a.shape) == (b.dims, b.dtype, b.shape), name
        assert repr(dict(a.attrs)) == repr(dict(b.attrs))
        same = a.values == b.values
        if a.dtype.kind == "f":
            same = (same & (np.signbit(a.values) == np.signbit(b.values))) | (np.isnan(a.values) & np.isnan(b.values))
        assert np.all(same), name


# -- any data ------------------------------------------------------------------------------------------------------

NAMES = ["time", "run", "value", "unit", "variable", "coordinate_value", "seed", "layer", "über größe", "a,b"]
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters='\n,"; '), max_size=6)
TYPES = st.sampled_from(["<f8", "<f4", "<i8", "<i4", "|u1", "|b1", "text", "|O"])
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["units", "long_name", "comment", "seed"]),
    st.one_of(TEXT, st.floats(), st.integers(-9, 9), st.lists(st.floats(), min_size=2, max_size=3)),
    max_size=3,
).map(lambda found: {n: str(v) if n in ("units", "long_name") else v for n, v in found.items()})


@st.composite
def values(draw, shape):
    kind = draw(TYPES)
    if kind == "|O":
        return draw(arrays.arrays(object, shape, elements=TEXT))
    if kind == "text":
        return draw(arrays.arrays("<U6", shape, elements=TEXT))
    return draw(arrays.arrays(kind, shape))


@st.composite
def datasets(draw):
    sizes = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), min_size=0, max_size=3))
    others = [name for name in NAMES if name not in sizes]
    names = draw(st.lists(st.sampled_from([*others, "x", "y", "z"]), unique=True, max_size=5))
    labelled = [name for name in sizes if draw(st.booleans())]
    found = {}
    for name in [*labelled, *names]:
        dims = [name] if name in labelled else draw(st.permutations(list(sizes)))[: draw(st.integers(0, len(sizes)))]
        shape = tuple(sizes[d] for d in dims)
        found[name] = xr.Variable(dims, draw(values(shape)), draw(ATTRIBUTES))
    coordinates = {name for name in names if draw(st.booleans())} | set(labelled)
    variables = {name: v for name, v in found.items() if name not in coordinates}
    return xr.Dataset(variables, {name: found[name] for name in found if name in coordinates}, draw(ATTRIBUTES))


def examples(number):
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=number, deadline=None, suppress_health_check=slow)


@given(data=datasets())
@examples(120)
def test_the_data_come_back_from_table_and_description_alone(data, tmp_path):
    assert_same(data, read(*written(data, tmp_path)))


def stored(name):
    data = xr.load_dataset(REPOSITORY / "results" / "reference" / f"{name}.nc", engine="h5netcdf")
    data = data.isel(arithmetic=0, drop=True) if "arithmetic" in data.dims else data
    for variable in data.variables.values():
        variable.attrs.pop("spread", None)  # the reference's own word, which no figure's data have
    return data


@pytest.mark.parametrize("name", ["fig-experiments", "fig-effective-rates", "fig-rotation", "fig-equilibrium"])
def test_figures_with_runs_say_of_each_row_which_run_it_is_of(name, tmp_path):
    """Those whose runs are told apart by coordinates that are no dimensions."""
    data = stored(name)
    table, description = written(data, tmp_path)
    assert_same(data, read(table, description))
    check(tmp_path, json.loads(description))
    first = next(iter(csv.DictReader(io.StringIO(table))))
    variable = data[first["variable"]].variable
    for coordinate, held in data.coords.items():
        if set(held.dims) <= set(variable.dims):
            (column,) = [f for f in fields(json.loads(description)) if f.get("of") == coordinate]
            assert first[column["name"]] == str(held.values.ravel().tolist()[0])


def test_each_row_reads_by_itself():
    data = xr.Dataset(
        {"y": (("run", "point"), np.array([[1.5, np.nan], [np.inf, -np.inf]]), {"units": "w²"}), "alike": True},
        {"learning_rate": ("run", [0.1, 0.2], {"units": "w²/ℓ"}), "value": ("run", ["a", "b"]), "run": [7, 8]},
    )
    assert long_table(data) == (
        "variable,unit,run,point,learning_rate,coordinate_value,value\n"
        "y,w²,7,0,0.1,a,1.5\ny,w²,7,1,0.1,a,NaN\ny,w²,8,0,0.2,b,INF\ny,w²,8,1,0.2,b,-INF\nalike,,,,,,true\n"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array(["2020-01-01"], "datetime64[ns]"), "convert them"),
        (np.array([object()]), "expected numbers, truth values or texts in y"),
        (np.array(["a\rb"]), "without carriage returns"),
    ],
)
def test_what_a_table_cannot_hold_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        long_table(xr.Dataset({"y": ("x", values)}))


# -- the specification ---------------------------------------------------------------------------------------------


def fields(package):
    return package["resources"][0]["schema"]["fields"]


def check(folder, package):
    """Frictionless specifications v1: Data Package, Data Resource, Tabular Data Resource, CSV Dialect, Table Schema."""
    assert package["profile"] == "tabular-data-package"
    assert re.fullmatch(r"[a-z0-9._-]+", package["name"])
    for license in package["licenses"]:
        assert re.fullmatch(r"([a-zA-Z0-9]|[-._])+", license.get("name", "")) or license["path"]
    for source in package["sources"]:
        assert source["title"]
        assert is_path(source["path"])
    assert len({resource["name"] for resource in package["resources"]}) == len(package["resources"]) > 0
    for resource in package["resources"]:
        assert resource["profile"] == "tabular-data-resource"
        assert re.fullmatch(r"[a-z0-9._-]+", resource["name"])
        assert is_path(resource["path"])
        content = (folder / resource["path"]).read_bytes()
        assert resource["bytes"] == len(content)
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        dialect = resource["dialect"]
        text = content.decode(resource["encoding"])
        lines = list(
            csv.reader(io.StringIO(text, newline=""), delimiter=dialect["delimiter"], quotechar=dialect["quoteChar"])
        )
        assert dialect["header"]
        assert "\r" not in text
        assert dialect["lineTerminator"] == "\n"
        header, rows = lines[0], lines[1:]
        described = resource["schema"]["fields"]
        assert [field["name"] for field in described] == header
        assert len(set(header)) == len(header)
        missing = resource["schema"]["missingValues"]
        for place, field in enumerate(described):
            cells = [row[place] for row in rows if row[place] not in missing]
            pattern = re.compile(LEXICAL[field["type"]], re.IGNORECASE)
            bad = [cell for cell in cells if not pattern.fullmatch(cell)]
            assert bad == [], field
            constraints = field.get("constraints", {})
            assert not constraints.get("required") or len(cells) == len(rows)
            assert set(cells) <= set(constraints.get("enum", cells))


LEXICAL = {  # Table Schema v1, "Types and Formats"
    "string": r"(?s).*",
    "any": r"(?s).*",
    "integer": r"[+-]?\d+",
    "number": r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|NaN|-?INF",
    "boolean": "true|false|1|0",
}


def is_path(text):
    """A relative POSIX path that stays in the folder."""
    return not text.startswith(("/", "./", "~")) and ".." not in text.split("/") and "\\" not in text


@given(data=datasets())
@examples(60)
def test_the_description_keeps_to_the_specification(data, tmp_path):
    check(tmp_path, json.loads(written(data, tmp_path)[1]))


def test_it_says_what_the_figure_is_and_where_from(tmp_path):
    data = xr.Dataset(
        {"y": ("t", [1.0, 2.0], {"units": "w", "long_name": "weight"})},
        {"t": ("t", [0, 1], {"units": "w²/ℓ", "long_name": "time"}), "seed": 3},
        {"learning_rate": np.float64(0.1)},
    )
    package = json.loads(written(data, tmp_path)[1])
    assert (package["title"], package["description"], package["version"]) == ("A line", "A line.", "1.2.3")
    assert package["attributes"] == {"learning_rate": 0.1}
    assert "fig-x in the quick profile, seed = 3" in package["sources"][0]["title"]
    time, seed = (field for field in fields(package) if "of" in field)
    assert (time["unit"], time["description"], time["role"]) == ("w²/ℓ", "time; coordinate of dimension t", "dimension")
    assert (seed["description"], seed["type"]) == ("one value for all rows", "integer")
    assert package["netcdf"]["hash"] == f"sha256:{hashlib.sha256((tmp_path / 'data.nc').read_bytes()).hexdigest()}"


def test_exported_files_are_a_package_too(tmp_path, monkeypatch, capsys):
    module = SimpleNamespace(
        __name__="nld.figures.fig_1", draw=lambda d: new_figure()[0], caption=lambda d: "A.", alt=lambda d: "A.",
        compute=lambda profile: xr.Dataset({"y": ("x", [1.0, 2.0])}),
    )  # fmt: skip
    monkeypatch.setenv("NLD_STORE", str(tmp_path / "store"))
    for place in ("nld.figures.load", "nld.figures.catalogue.load"):
        monkeypatch.setattr(place, lambda name: module)
    assert main(["figure", "export", "fig-x", "--to", str(tmp_path / "out")]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"fig-x.csv", "fig-x.nc", "fig-x-dark.svg", "fig-x.provenance.json", "fig-x.datapackage.json"} <= names
    assert set(capsys.readouterr().out.split()) == {str(tmp_path / "out" / name) for name in names}
    package = json.loads((tmp_path / "out" / "fig-x.datapackage.json").read_text("utf-8"))
    check(tmp_path / "out", package)
    assert {package["sources"][0]["path"], package["netcdf"]["path"]} <= names
