# README's section for whoever installs: the tests run what stands there, as it stands there.
# shellcheck shell=bash

# Its blocks of commands and settings, those with WORDS alone, and a line of its own behind each.
blocks() { # WORDS
  awk -v words="$1" '
    function finish() { if (block != "" && (words == "" || index(block, words))) print block "----"; block = "" }
    /^#/ { finish(); inside = $0 == "### Installing"; next }
    !inside { next }
    /^    / { block = block substr($0, 5) "\n"; next }
    { finish() }
    END { finish() }' "$source/README.md"
}
# The one block that says WORDS.
readme() { # WORDS
  local found
  found=$(blocks "$1")
  [[ $(grep -c '^----$' <<<"$found") == 1 ]] || fail "README.md, Installing: not one indented block says '$1'"
  sed '/^----$/d; /^$/d' <<<"$found"
}

# What is not asked for below is not tried.
check_readme() {
  local words
  for words in '[etcd]' 'yum install' 'apt-get install' 'systemctl enable' 'etcdctl put'; do blocks "$words"; done >"$work/blocks"
  [[ $(grep -c '^----$' "$work/blocks") == $(blocks "" | grep -c '^----$') ]] || fail "README.md, Installing: a block that no test runs"
  say "ok: every block of README's installation is one that is run"
}

# The parts that a booted system plays.
readme_parts() { # FOLDER
  readme 'apt-get install' >"$1/install"
  readme 'systemctl enable' >"$1/start"
  readme 'etcdctl put' >"$1/use"
}
