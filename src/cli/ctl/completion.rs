//! Completion scripts, written from the table of commands.

use std::fmt::Write as _;

use super::commands::{Command, Shell};
use super::failure::{Exit, Failure};
use super::flags::{Flag, Kind, Parsed};
use super::show;

/// Prints the script for a shell.
pub(super) fn print(shell: Shell, parsed: &Parsed) -> Result<(), Failure> {
    let described = !parsed.values.on("no-descriptions");
    let text = match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(described),
        Shell::Fish => fish(described),
        Shell::Pwsh => {
            let text = "completion for powershell is not offered; there are bash, zsh and fish";
            return Err(Failure::new(Exit::BadFeature, text));
        }
    };
    show(text.as_bytes())
}

/// A place in a command line: the tool, a group or a command, and what may follow there.
struct Place {
    path: &'static str,
    next: Vec<&'static Command>,
    flags: Vec<&'static Flag>,
}

fn places() -> Vec<Place> {
    let visible = |command: &&Command| {
        command.path.is_empty() || command.run.is_some() || !command.children().is_empty()
    };
    let mut places: Vec<Place> = Command::all()
        .filter(visible)
        .map(|command| {
            let mut flags = command.all_flags();
            flags.sort_by_key(|flag| flag.name);
            Place { path: command.path, next: words_after(command), flags }
        })
        .collect();
    places.sort_by_key(|place| place.path);
    places
}

/// The commands and groups that are one word further.
fn words_after(command: &Command) -> Vec<&'static Command> {
    let depth = command.path.split_whitespace().count();
    let mut next: Vec<&'static Command> = Vec::new();
    for child in command.children() {
        let words: Vec<&str> = child.path.split(' ').take(depth + 1).collect();
        let direct = Command::find(&words.join(" ")).unwrap_or(child);
        if next.last().is_none_or(|last| last.path != direct.path) {
            next.push(direct);
        }
    }
    next
}

/// Flags whose value is the next word, in both forms.
fn takers() -> Vec<String> {
    let mut all: Vec<String> = Command::all()
        .flat_map(Command::all_flags)
        .filter(|flag| flag.kind != Kind::Switch)
        .flat_map(|flag| {
            [Some(format!("--{}", flag.name)), flag.short.map(|letter| format!("-{letter}"))]
        })
        .flatten()
        .collect();
    all.sort();
    all.dedup();
    all
}

fn names(commands: &[&'static Command]) -> String {
    commands.iter().map(|command| command.name()).collect::<Vec<_>>().join(" ")
}

fn long_flags(flags: &[&'static Flag]) -> String {
    let names = flags.iter().map(|flag| format!("--{}", flag.name));
    names.chain(["--help".to_owned()]).collect::<Vec<_>>().join(" ")
}

/// Lines of a `case` over the path so far.
fn cases(line: impl Fn(&Place) -> String) -> String {
    places().iter().map(|place| format!("    \"{}\") {} ;;\n", place.path, line(place))).collect()
}

/// The part bash and zsh share: follows the words typed so far and leaves the command in `path`.
fn follow() -> String {
    let paths: Vec<String> = places()
        .iter()
        .filter(|place| !place.path.is_empty())
        .map(|place| format!("\"{}\"", place.path))
        .collect();
    format!(
        "      =) skip=1 ;;
      --*=*) ;;
      {}) skip=1 ;;
      -*) ;;
      *)
        case \"${{path:+$path }}$word\" in
          {}) path=\"${{path:+$path }}$word\" ;;
        esac ;;
",
        takers().join("|"),
        paths.join("|")
    )
}

fn bash() -> String {
    format!(
        "# bash completion for etcdctl
_etcdctl() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
  local path='' skip='' word next='' flags='' place
  for ((place = 1; place < COMP_CWORD; place++)); do
    word=${{COMP_WORDS[place]}}
    if [[ -n $skip && $word != = ]]; then skip=; continue; fi
    case $word in
{follow}    esac
  done
  [[ $cur == = ]] && cur='' && prev==
  [[ $prev == = ]] && prev=${{COMP_WORDS[COMP_CWORD-2]}}
  case $prev in
    -w|--write-out) COMPREPLY=($(compgen -W 'fields json protobuf simple table' -- \"$cur\")); return ;;
    --cacert|--cert|--key|--dest-cacert|--dest-cert|--dest-key) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;
    {takers}) return ;;
  esac
  case $path in
{next}  esac
  case $path in
{flags}  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))
  elif [[ -n $next ]]; then
    COMPREPLY=($(compgen -W \"$next\" -- \"$cur\"))
  else
    COMPREPLY=($(compgen -f -- \"$cur\"))
  fi
}}
complete -F _etcdctl etcdctl
",
        follow = follow(),
        takers = takers().join("|"),
        next = cases(|place| format!("next='{}'", names(&place.next))),
        flags = cases(|place| format!("flags='{}'", long_flags(&place.flags))),
    )
}

/// A text inside single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn zsh(described: bool) -> String {
    let item = |name: &str, about: &str| {
        let about = if described { format!(":{about}") } else { String::new() };
        quoted(&format!("{}{about}", name.replace(':', "\\:")))
    };
    let next = cases(|place| {
        let items = place.next.iter().map(|command| item(command.name(), command.about));
        format!("next=({})", items.collect::<Vec<_>>().join(" "))
    });
    let flags = cases(|place| {
        let items = place.flags.iter().map(|flag| item(&format!("--{}", flag.name), flag.help));
        format!("flags=({})", items.collect::<Vec<_>>().join(" "))
    });
    format!(
        "#compdef etcdctl
# zsh completion for etcdctl
_etcdctl() {{
  local path='' skip='' word
  local -a next flags
  for word in \"${{(@)words[2,CURRENT-1]}}\"; do
    if [[ -n $skip && $word != = ]]; then skip=; continue; fi
    case $word in
{follow}    esac
  done
  if [[ -n $skip ]]; then
    case $words[CURRENT-1] in
      -w|--write-out) compadd fields json protobuf simple table ;;
      *) _files ;;
    esac
    return
  fi
  case $path in
{next}  esac
  case $path in
{flags}  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe flag flags
  elif (( $#next )); then
    _describe command next
  else
    _files
  fi
}}
if [[ $funcstack[1] == _etcdctl ]]; then
  _etcdctl \"$@\"
else
  compdef _etcdctl etcdctl
fi
",
        follow = follow().replace("path", "typed"),
    )
    .replace("local path=''", "local typed=''")
    .replace("case $path in", "case $typed in")
}

fn fish(described: bool) -> String {
    let about =
        |text: &str| if described { format!(" -d {}", quoted(text)) } else { String::new() };
    let mut out = String::from(
        "# fish completion for etcdctl
function __etcdctl_at
  set -l path
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
",
    );
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(out, "      case {}\n        set skip 1", takers().join(" "));
    out.push_str("      case '-*'\n      case '*'\n        switch \"$path $word\"\n");
    let places = places();
    let paths = places.iter().filter(|place| !place.path.is_empty());
    let paths: Vec<String> = paths.map(|place| quoted(&format!(" {}", place.path))).collect();
    let _ = writeln!(out, "          case {}", paths.join(" "));
    out.push_str(
        "            set path \"$path $word\"\n        end\n    end\n  end\n  test \"$path\" = \"$argv[1]\"\nend\n",
    );
    for place in &places {
        let path = if place.path.is_empty() { String::new() } else { format!(" {}", place.path) };
        let at = quoted(&format!("__etcdctl_at {}", quoted(&path)));
        for command in &place.next {
            let (name, about) = (command.name(), about(command.about));
            let _ = writeln!(out, "complete -c etcdctl -f -n {at} -a {name}{about}");
        }
        for flag in &place.flags {
            let value = if flag.kind == Kind::Switch { "" } else { " -r" };
            let short = flag.short.map(|letter| format!(" -s {letter}")).unwrap_or_default();
            let (name, help) = (flag.name, about(flag.help));
            let _ = writeln!(out, "complete -c etcdctl -n {at}{short} -l {name}{value}{help}");
        }
    }
    out
}
