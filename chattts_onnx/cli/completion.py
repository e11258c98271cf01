"""``chattts-onnx completion``: scripts for bash, zsh and fish, made from the parser itself."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from .common import Commands, new_command

_EXAMPLES = """  source <(chattts-onnx completion bash)          # in ~/.bashrc
  source <(chattts-onnx completion zsh)           # in ~/.zshrc, after compinit
  chattts-onnx completion fish | source           # in ~/.config/fish/config.fish
"""


def add_command(commands: Commands) -> None:
    """Declare the command."""
    parser = new_command(commands, "completion", "print a shell completion script", _EXAMPLES)
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print the script."""
    print({"bash": bash, "zsh": zsh, "fish": fish}[parsed.shell](parser))
    return 0


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _paths(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command with the words that lead to it."""
    yield path, parser
    for name, sub in _subcommands(parser).items():
        yield from _paths(sub, (*path, name))


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """Subcommands, choices of positionals, and long options."""
    words = list(_subcommands(parser))
    for action in parser._actions:
        if action.option_strings:
            words += [option for option in action.option_strings if option.startswith("--")]
        elif action.choices and not isinstance(action, argparse._SubParsersAction):
            words += map(str, action.choices)
    return words


def _takes_files(parser: argparse.ArgumentParser) -> bool:
    """Whether a positional argument may be a file."""
    return any(not a.option_strings and not a.choices for a in parser._actions)


def _valued(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[Sequence[str], list[str] | None]]:
    """Options that take a value, each with its choices or None for a file or free text."""
    for action in parser._actions:
        if action.option_strings and action.nargs != 0:
            choices = [str(c) for c in action.choices] if action.choices else None
            yield action.option_strings, choices or (None if _is_file(action) else [])


def _is_file(action: argparse.Action) -> bool:
    """Whether an option's value may be a file."""
    return action.type is Path or action.dest in ("output", "voice", "source")


def bash(parser: argparse.ArgumentParser) -> str:
    """A completion function for bash 3.2 or newer."""
    cases, values = [], []
    for path, sub in _paths(parser):
        key = " ".join(path)
        files = "yes" if _takes_files(sub) else "no"
        cases.append(f'      "{key}") words="{" ".join(_words(sub))}"; files={files} ;;')
        for options, choices in _valued(sub):
            for option in options:
                words = "FILES" if choices is None else " ".join(choices)
                values.append(f'    "{key} {option}") words="{words}" ;;')
    names = "|".join(sorted({f'"{" ".join(path)}"' for path, _ in _paths(parser) if path}, key=len))
    return f"""_chattts_onnx() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
  local command="" words="NONE" files=no index
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "${{command:+$command }}${{COMP_WORDS[index]}}" in
      {names}) command="${{command:+$command }}${{COMP_WORDS[index]}}" ;;
    esac
  done
  case "$command $previous" in
{chr(10).join(values)}
  esac
  if [ "$words" = "FILES" ]; then
    words="" files=yes
  fi
  if [ "$words" = "NONE" ]; then
    case "$command" in
{chr(10).join(cases)}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "$files$current" in
    yes-* | no*) ;;
    *) local IFS=$'\\n'; COMPREPLY+=($(compgen -f -- "$current")) ;;
  esac
}}
complete -o filenames -F _chattts_onnx chattts-onnx"""


def zsh(parser: argparse.ArgumentParser) -> str:
    """The bash function through zsh's own compatibility layer."""
    return f"autoload -U +X bashcompinit && bashcompinit\n{bash(parser)}"


def fish(parser: argparse.ArgumentParser) -> str:
    """One ``complete`` line for each command and option."""
    lines = ["complete -c chattts-onnx -e"]
    for path, sub in _paths(parser):
        seen = " && ".join(f"__fish_seen_subcommand_from {name}" for name in path)
        inner = _subcommands(sub)
        if inner:
            none = f"not __fish_seen_subcommand_from {' '.join(inner)}"
            condition = f"{seen} && {none}" if seen else none
            for name in inner:
                lines.append(f"complete -c chattts-onnx -f -n {shlex.quote(condition)} -a {name}")
        if path and not inner and not _takes_files(sub):
            lines.append(f"complete -c chattts-onnx -f -n {shlex.quote(seen)}")
        for action in sub._actions:
            lines += (
                _fish_option(action, seen) if action.option_strings else _fish_word(action, seen)
            )
    return "\n".join(lines)


def _fish_word(action: argparse.Action, seen: str) -> list[str]:
    """The choices of a positional argument."""
    if not action.choices or isinstance(action, argparse._SubParsersAction):
        return []
    words = shlex.quote(" ".join(map(str, action.choices)))
    return [f"complete -c chattts-onnx -f -n {shlex.quote(seen)} -a {words}"]


def _fish_option(action: argparse.Action, seen: str) -> list[str]:
    names = [f"-l {o[2:]}" if o.startswith("--") else f"-s {o[1:]}" for o in action.option_strings]
    line = f"complete -c chattts-onnx {' '.join(names)}"
    if seen:
        line += f" -n {shlex.quote(seen)}"
    if action.choices:
        line += f" -x -a {shlex.quote(' '.join(map(str, action.choices)))}"
    elif action.nargs != 0:
        line += " -r -F" if _is_file(action) else " -x"
    if action.help and action.help != argparse.SUPPRESS:
        line += f" -d {shlex.quote(action.help)}"
    return [line]
