# Shared by the build, its tests and CI, each of which has a say and a fail of its own.
# shellcheck shell=bash

# What comes from a registry is asked for once more if it does not come.
twice() { # COMMAND...
  "$@" && return
  say "trying once more: $*"
  "$@"
}
