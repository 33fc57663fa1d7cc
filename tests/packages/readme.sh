# README's section for whoever installs: the tests run what stands there, as it stands there.
# shellcheck shell=bash

# The one block of commands or settings in that section that says WORDS.
readme() { # WORDS
  local found
  found=$(awk -v words="$1" '
    /^#/ { inside = $0 == "### Installing"; next }
    !inside { next }
    /^    / { block = block substr($0, 5) "\n"; next }
    { if (index(block, words)) printf "%s", block; block = "" }
    END { if (index(block, words)) printf "%s", block }' "$source/README.md")
  [[ -n $found ]] || fail "README.md, Installing: no indented block says '$1'"
  printf '%s\n' "$found"
}

# The parts that a booted system plays.
readme_parts() { # FOLDER
  readme 'apt-get install' >"$1/install"
  readme 'systemctl enable' >"$1/start"
  readme 'etcdctl put' >"$1/use"
}
