"""Mistakes in what journeys read and include, each word for word with its place."""

from pathlib import Path

import pytest

from tests.probes.config.conftest import Refused
from tests.probes.config.rows import HEAD, rows

ROWS = rows(r"""
## unknown variable
  shop: {steps: [{name: a, get: /, extract: {token: $.t}}, {name: b, get: "/${tokn}"}]}
> 3:75: ~steps.1.get: want a variable that something sets, got 'tokn'; did you mean 'token'?
## variable of a later step
  shop: {steps: [{name: a, get: "/${token}"}, {name: b, get: /, extract: {token: $.t}}]}
> 3:33: ~steps.0.get: want 'token' to be extracted before it is used, got it in step 'b'
## variable of the step itself
  shop: {steps: [{name: a, get: /, expect: {json: {$.u: "${t}"}}, extract: {t: $.t}}]}
> 3:57: ~steps.0.expect.json.$.u: want 't' to be extracted before it is used, got it in step 'a'
## variable deep in a body
  shop:
    steps:
      - name: a
        post: /
        json:
          list: [1, {x: "${gone}"}]
> 8:25: ~steps.0.json.list.1.x: want a variable that something sets, got 'gone'
## variables in every place
  shop:
    steps:
      - {name: a, get: "/${p}", params: {q: "${q}"}, headers: {X: "${h}"}, if: "${i} == 1"}
      - {name: b, post: /, form: {x: "${f}"}, expect: {body: "${e}"}, warn: {headers: {X: "${w}"}}}
      - {name: c, post: /, body: "${b}", poll: {until: {json: {$.a: "${u}"}}}}
      - {log: "${l}"}
> 5:24: ~steps.0.get: want a variable that something sets, got 'p'
> 5:45: ~steps.0.params.q: want a variable that something sets, got 'q'
> 5:67: ~steps.0.headers.X: want a variable that something sets, got 'h'
> 5:80: ~steps.0.if: want a variable that something sets, got 'i'
> 6:38: ~steps.1.form.x: want a variable that something sets, got 'f'
> 6:62: ~steps.1.expect.body: want a variable that something sets, got 'e'
> 6:91: ~steps.1.warn.headers.X: want a variable that something sets, got 'w'
> 7:34: ~steps.2.body: want a variable that something sets, got 'b'
> 7:69: ~steps.2.poll.until.json.$.a: want a variable that something sets, got 'u'
> 8:15: ~steps.3.log: want a variable that something sets, got 'l'
## variable of the clean-up in the steps
  shop:
    steps: [{name: a, get: "/${id}"}]
    cleanup: [{name: z, delete: /, extract: {id: $.id}}]
> 4:28: ~steps.0.get: want 'id' to be extracted before it is used, got it in step 'z'
## vars that read later ones
  shop: {vars: {x: "${y}", y: 1}, steps: [{name: a, get: "/${x}"}]}
> 3:20: ~vars.x: want a variable that something sets, got 'y'
## unknown vars
  shop: {vars: {currency: EUR}, steps: [{name: a, get: "/${vars.curency}"}]}
> 3:56: ~steps.0.get: want the name of a variable in vars:, got 'curency'; did you mean 'currency'?
## unknown secret
  shop: {secrets: {password: {env: PW}}, steps: [{name: a, get: "/${secrets.pasword}"}]}
> 3:65: ~steps.0.get: want the name of a secret in secrets:, got 'pasword'; did you mean 'password'?
## secret without its space
  shop: {secrets: {password: {env: PW}}, steps: [{name: a, get: "/${password}"}]}
> 3:65: ~steps.0.get: want ${secrets.password} for a secret, got ${password}
## secret that is not set
  shop: {secrets: {a: {env: NOPE}, b: {file: lost}, c: 5, d: "${x}"}, steps: [{name: a, get: /}]}
> 3:20: ~secrets.a: want the environment variable NOPE to be set, got none
> 3:36: ~secrets.b: want a readable secret file, got lost: No such file or directory
> 3:56: ~secrets.c: want a text, {env: NAME} or {file: path}, got a number: put it in quotes
> 3:62: ~secrets.d: want a secret without ${...}, got one with
## row without data
  shop: {steps: [{name: a, get: "/${row.user}"}]}
> 3:33: ~steps.0.get: want data: for ${row.user}, got none
## unknown column
  shop: {data: {file: users.csv}, steps: [{name: a, get: "/${row.usr}"}]}
> 3:58: ~steps.0.get: want a column of users.csv, got 'usr'; did you mean 'user'?
## data file is lost
  shop: {data: {file: lost.csv}, steps: [{name: a, get: "/${row.user}"}]}
> 3:23: ~data.file: want a readable file, got 'lost.csv': No such file or directory
## data file is empty
  shop: {data: {file: empty.csv}, steps: [{name: a, get: "/${row.user}"}]}
> 3:23: ~data.file: empty.csv: want at least one row, got none
## unknown pick
  shop: {data: {file: users.csv, pick: shuffled}, steps: [{name: a, get: "/"}]}
> 3:40: ~data.pick: want 'sequential', 'random' or 'unique', got 'shuffled'
## unknown function
  shop: {steps: [{name: a, get: "/${uuuid()}"}]}
> 3:33: ~steps.0.get: want a function, got 'uuuid' at column 4 of '${u'; did you mean 'uuid'?
## wrong number of arguments
  shop: {steps: [{name: a, get: "/${randint(1)}"}]}
> 3:33: ~steps.0.get: want randint(low, high), got 1 arguments at column 4 of '${r'
## expression without an end
  shop: {steps: [{name: a, get: "/${uuid("}]}
> 3:33: ~steps.0.get: want a variable, a function or a value, got the end of the text at column 9 of '${uuid('
## comparison inside of an expression
  shop: {steps: [{name: a, get: /, if: "${run_id == 1}"}]}
> 3:40: ~steps.0.if: want '}', got '=' at column 10 of '${run_id ='; a comparison stands outside of ${}
## no comparison
  shop: {steps: [{name: a, get: /, if: "${run_id} = 1"}]}
> 3:40: ~steps.0.if: want one ${expression}, or a comparison such as ${a} == 1 (==, !=, <, <=, >, >=, in, contains), got another text
## environment that is not set
  shop: {steps: [{name: a, get: "/${env('NOPE')}"}]}
> 3:33: ~steps.0.get: want the environment variable NOPE to be set, got none
## environment of the load that is not set
  shop: {steps: [{name: a, get: "/${NOPE}"}, {name: b, get: "/${NOPE:-${x}}"}]}
> 3:33: ~steps.0.get: want the environment variable NOPE to be set, got none
> 3:61: ~steps.1.get: want ${NAME} or ${NAME:-default}, got '${NOPE:-${x}'; a literal '${' is written '$${'
## item outside of repeat
  shop: {steps: [{repeat: {over: [1], steps: [{name: a, get: "/${item}"}]}}, {name: b, get: "/${item}"}]}
> 3:93: ~steps.1.get: want ${item} inside repeat: alone, got it outside
## repeat without a measure
  shop: {steps: [{repeat: {steps: [{name: a, get: /}]}}]}
> 3:19: ~steps.0.repeat: want times or over, got neither
## repeat too often
  shop: {steps: [{repeat: {times: 1001, steps: [{name: a, get: /}]}}]}
> 3:35: ~steps.0.repeat.times: want a number <= 1000, got 1001
## repeat in repeat too often
  shop: {steps: [{repeat: {times: 50, steps: [{repeat: {times: 50, steps: [{name: a, get: /}]}}]}}]}
> 3:48: ~steps.0.repeat.steps.0.repeat: want at most 1000 rounds, those of an outer repeat multiplied, got 2500
## include of nothing
  shop: {steps: [{include: login}]}
  logon: {steps: [{name: a, get: /}]}
> 3:28: ~steps.0.include: want the name of a journey with steps over HTTP, got 'login'; did you mean 'logon'?
## include of itself
  shop: {steps: [{include: shop}]}
> 3:28: ~steps.0.include: want journeys that do not include each other, got shop -> shop
## includes in a circle
  shop: {steps: [{include: other}]}
  other: {steps: [{include: shop}]}
> 3:28: ~steps.0.include: want journeys that do not include each other, got shop -> other -> shop
> 4:29: journeys.other.steps.0.include: want journeys that do not include each other, got other -> shop -> other
## includes too deep
  a: {steps: [{include: b}]}
  b: {steps: [{include: c}]}
  c: {steps: [{include: d}]}
  d: {steps: [{include: e}]}
  e: {steps: [{include: f}]}
  f: {steps: [{include: g}]}
  g: {steps: [{name: x, get: /}]}
> 3:25: journeys.a.steps.0.include: want includes of at most 5 levels, got more
## included step with a name that is taken
  shop: {steps: [{name: a, get: /}, {include: other}]}
  other: {steps: [{name: a, get: /}]}
> 3:47: ~steps.1.include: steps of 'other': want a unique name of a step, got 'a' again (first at steps.0)
## included step without a source
  shop: {steps: [{include: other}]}
  other: {steps: [{name: a, get: "/${token}"}]}
> 3:28: ~steps.0.include: steps of 'other': want a variable that something sets, got 'token'
## flaw of an included step
  shop: {steps: [{include: other}]}
  other: {steps: [{name: a, get: "/${uuuid()}"}]}
> 4:34: journeys.other.steps.0.get: want a function, got 'uuuid' at column 4 of '${u'; did you mean 'uuid'?
## included journey with another tls
  shop: {steps: [{include: other}]}
  other: {http: {tls: {verify: false}}, steps: [{name: a, get: /}]}
> 3:3: ~http.tls: want the http.tls of the included journey 'other', got another
""")  # noqa: E501 - what is said is said in one line


@pytest.mark.parametrize(("text", "said"), ROWS)
def test_each_mistake_is_told_word_for_word(
    text: str, said: list[str], refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "users.csv").write_text("user,can_pay\na,true\n")
    (tmp_path / "empty.csv").write_text("user\n")

    got = refused(text, HEAD, PW="s3cretpw")

    assert got == said
    assert not any("s3cretpw" in line for line in got)
