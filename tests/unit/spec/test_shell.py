"""Where a place in a script stands."""

import pytest

from runner.spec.shell import Context, Quoting, contexts

MARK = "@"


def all_of(script: str) -> list[Context]:
    spans = [(at, at + 1) for at, character in enumerate(script) if character == MARK]
    return contexts(script, spans)


def one(script: str) -> Context:
    [context] = all_of(script)
    return context


@pytest.mark.parametrize(
    "script",
    [
        "echo @",
        "@ a",
        "x=@ y",
        "echo a@b",
        "(echo @)",
        "a=(1 @)",
        "if true; then echo @; fi",
        "case a in b) echo @;; esac",
        "case a in (b|c) echo x;; esac; echo @",
        "echo 'a' \"b\" @",
        "echo \\' @",
        "echo a#b @",
        "echo $# $$ ${x} $x @",
        "echo ${#x} @",
        "echo $(date) `date` @",
        "echo \"$(echo ')' \"a\" # c)\n)\" @",
        "echo $(case a in a) b;; esac) @",
        "cat <<EOF\nit's `not` $(a quote\nEOF\necho @",
        "cat <<'E F'\nx\nE F\necho @",
        "cat <<-EOF\n\tx'\n\tEOF\necho @",
        "cat <<A <<B\n'\nA\n'\nB\necho @",
        "cat <<<'x' @",
        "echo $((1 << 2)) @",
        "((x = 1 << 2)); echo @",
        "sh -c 'echo \"$1\"' _ @",
        "python train.py -c @",
        "python -m pip install @",
        "echo @ | python x.py",
        "echo @ > bash",
        "head -c @ file",
        "grep -e @ file",
        "sed s/a/b/ @",
        "awk -v x=@ '{print x}'",
        "a 2>&1 @",
        "echo \\\n@",
        "f() { echo @; }",
        "echo $'a\\\\' @",
        'echo $"a" @',
    ],
)  # fmt: skip
def test_bare(script: str) -> None:
    assert one(script).quoting is Quoting.BARE, one(script)


@pytest.mark.parametrize(
    "script", ['"@"', "\"a'@'b\"", '"\\"@"', '"$x @"', '"$(date) @"', '"`date`@"', '"${x}@"', '"a\n@\nb"', '$"@"']
)
def test_double(script: str) -> None:
    assert one(script).quoting is Quoting.DOUBLE, one(script)


@pytest.mark.parametrize("script", ["'@'", "'\"@\"'", "'\\@'", "a'b'c'@'", "'\n@'", "echo '#' '@'"])
def test_single(script: str) -> None:
    assert one(script).quoting is Quoting.SINGLE, one(script)


@pytest.mark.parametrize("script", ["# @", "echo a # it's @", "echo a;# @", "true\n  # @", "(# @\n)"])
def test_comment(script: str) -> None:
    assert one(script).quoting is Quoting.COMMENT, one(script)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("$(echo @)", "`$(…)`"),
        ('"$(echo "@")"', "`$(…)`"),
        ("$(echo '@')", "`$(…)`"),
        ("`echo @`", "backquotes"),
        ('"`echo @`"', "backquotes"),
        ("${x:-\n@}", "`${…}`"),
        ("$((1 + @))", "`((…))`"),
        ("((x = @))", "`((…))`"),
        ("$'@'", "`$'…'`"),
        ("<(echo @)", "process substitution"),
        ("cat <<EOF\n@\nEOF", "here-document"),
        ("cat <<'EOF'\n@\nEOF", "here-document"),
        ("cat <<EOF | wc\na\n@\nEOF", "here-document"),
        ("cat <<@\nx\n@", "here-document"),
        ("\\@", "backslash"),
        ('"\\@"', "backslash"),
        ("$@x", "`$`"),
        ('"$@"', "`$`"),
        ("sh -c @", "sh runs"),
        ('bash -c "echo @"', "bash runs"),
        ("bash -euo pipefail -c '@'", "bash runs"),
        ("/bin/bash -lc @", "bash runs"),
        ("bash -c'@'", "bash runs"),
        ("bash 2>&1 -c @", "bash runs"),
        ("sudo -u me env A=b sh -c @", "sh runs"),
        ("xargs -I x sh -c @", "sh runs"),
        ("find . -exec sh -c '@' ';'", "sh runs"),
        ("su me -c @", "su runs"),
        ("eval @", "eval runs"),
        ("eval echo a @", "eval runs"),
        ("ssh host echo '@'", "ssh runs"),
        ("alias x='@'", "alias runs"),
        ("trap '@' EXIT", "trap runs"),
        ("watch @", "watch runs"),
        ('python -c "print(@)"', "python runs"),
        ("python3.11 -u -c '@'", "python3.11 runs"),
        ("perl -pi -e 's/@//' f", "perl runs"),
        ("node --eval '@'", "node runs"),
        ("awk '{print @}'", "awk runs"),
        ("sed -i s/a/@/ f", "sed runs"),
        ("sed -e a -e @", "sed runs"),
        ("$PY -c @", "the command runs"),
        ("then=1; if true; then bash -c @; fi", "bash runs"),
        ("echo @ | bash", "reads as its program"),
        ("echo @ | sudo bash -s", "reads as its program"),
        ("(echo @) | sh", "reads as its program"),
        ("for i in 1; do echo @; done | sh", "reads as its program"),
        ("bash <<< @", "reads as its program"),
        ("echo $'it\\'s' '@'", "escaped quote"),
        ("echo $[1] '@'", "`$[`"),
        ("\"${x:-'}\" '@'", "quotes in it"),
    ],
)
def test_places_that_no_quoting_can_save(script: str, reason: str) -> None:
    context = next(iter(all_of(script)))
    assert context.quoting is Quoting.OTHER, context
    assert reason in context.reason


@pytest.mark.parametrize(
    "script",
    ["[[ @ == x ]]", "[[ x -eq '@' ]]", "let x=@", "declare -i x=@", "unset @", "a[@]=1", "[ -v @ ]", "printf -v @ x"],
)
def test_expressions_are_marked(script: str) -> None:
    assert one(script).expression


@pytest.mark.parametrize("script", ["[[ a ]]; echo @", "[ @ = x ]", "echo a[@]b", "printf %s @"])
def test_what_is_no_expression(script: str) -> None:
    context = one(script)
    assert not context.expression or "[" in script.partition("@")[0]


def test_a_line_that_may_become_the_delimiter_is_marked() -> None:
    assert one("cat <<EOF\n@\nEOF").delimiter == "EOF"
    assert one("cat <<EOF\nE@\nEOF").delimiter == "EOF"
    assert one("cat <<EOF\nx @\nEOF").delimiter is None


def test_quotes_may_span_lines_and_every_place_is_found() -> None:
    assert [context.quoting for context in all_of("echo \"\n@\n\" '@' @")] == [
        Quoting.DOUBLE,
        Quoting.SINGLE,
        Quoting.BARE,
    ]


@pytest.mark.parametrize("piece", ["$(", "(", "`", '"', "'", "${", "$((", "<<", "case a in ", "\\", "<<A\n", '"$('])
def test_unfinished_and_deeply_nested_scripts_end(piece: str) -> None:
    script = piece * 3000 + MARK
    assert len(all_of(script)) == 1
