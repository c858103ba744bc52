"""The compiled SIMD kernels are those of the sources in the tree."""

import pytest

from loom import kernels as runtime
from loom.errors import ConfigError
from tools.wasm import kernels


@pytest.mark.parametrize("flavour", kernels.FLAVOURS)
def test_compiled_from_these_sources(flavour):
    built = kernels.built_from(kernels.KERNELS / f"{flavour}.wasm")
    assert built == kernels.fingerprint(flavour), (
        "loom/kernels/c changed: run `python -m tools.wasm.kernels` "
        "(Debian: clang-19 and lld-19) and commit what it makes"
    )


@pytest.mark.skipif(
    bool(kernels.missing_tools()), reason="clang-19 and wasm-ld-19 are not here"
)
def test_compiling_again_gives_the_same_bytes(tmp_path):
    for made in kernels.compile_kernels(tmp_path):
        assert made.read_bytes() == (kernels.KERNELS / made.name).read_bytes()


def test_a_changed_source_is_seen(tmp_path, monkeypatch):
    before = kernels.fingerprint("_simd")
    (tmp_path / "c").mkdir()
    for path in kernels.sources():
        (tmp_path / "c" / path.name).write_text(path.read_text() + "\n")
    monkeypatch.setattr(kernels, "KERNELS", tmp_path)
    assert kernels.fingerprint("_simd") != before
    assert kernels.fingerprint("_simd") != kernels.fingerprint("_relaxed")


def test_no_kernels_natively():
    assert runtime.simd is None
    assert set(runtime.PROBES) == set(kernels.FLAVOURS) - {"standalone"}


def test_an_unknown_choice_is_an_error_that_lists_the_known(monkeypatch):
    monkeypatch.setenv("LOOM_KERNELS", "_sse")
    with pytest.raises(ConfigError) as caught:
        runtime.flavour()
    assert str(caught.value) == (
        "unknown LOOM_KERNELS '_sse'. Known: _relaxed, _simd, off."
    )
    monkeypatch.setenv("LOOM_KERNELS", "_simd")
    assert runtime.flavour() is None


def test_kernels_that_do_not_load_leave_it_to_numpy(monkeypatch):
    def fails(name):
        raise ImportError(f"no {name}")

    monkeypatch.setattr(runtime, "flavour", lambda: "_simd")
    monkeypatch.setattr(runtime, "load", fails)
    with pytest.warns(UserWarning, match="could not be loaded .no _simd.; NumPy"):
        assert runtime._simd() is None
