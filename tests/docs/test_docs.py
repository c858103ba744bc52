"""The API documentation builds, and everything public has a docstring."""

from tools import docs


def test_the_documentation_builds_without_a_warning(tmp_path, capsys):
    assert docs.main(str(tmp_path)) == 0
    assert "modules in" in capsys.readouterr().out
    page = (tmp_path / "loom" / "network.html").read_text()
    assert "Run the network in evaluation mode." in page
    assert len(list(tmp_path.rglob("*.html"))) > 100


def test_a_missing_docstring_is_found(tmp_path, monkeypatch):
    (tmp_path / "bare.py").write_text("def f(): pass\nclass C: 'x'\n_g = lambda: 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert docs.undocumented(["bare"]) == ["bare", "bare.f"]
