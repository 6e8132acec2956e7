package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

// Help is shown by `conferenced completion --help`.
func (completionCommand) Help() string {
	return `Add one of these lines to the shell's start-up file:

  source <(conferenced completion bash)
  source <(conferenced completion zsh)
  conferenced completion fish | source`
}

// Run prints the completion script of a shell.
func (c *completionCommand) Run(out output) error {
	_, err := fmt.Fprint(out.stdout, completionScripts[c.Shell])
	return err
}

// completionScripts are the scripts by shell. They run the hidden command __complete, which
// prints a candidate a line: the word, a tab, and its help. If there is none, they complete
// the names of files.
var completionScripts = map[string]string{
	// Bash takes what follows a = as a word of its own.
	"bash": `_conferenced() {
	local words word
	read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
	[[ ${COMP_LINE:COMP_POINT-1:1} == " " ]] && words+=("")
	word=${words[${#words[@]}-1]}
	COMPREPLY=($("${words[0]}" __complete "${words[@]:1}" 2>/dev/null | cut -f1))
	[[ $word == *=* ]] && COMPREPLY=("${COMPREPLY[@]#*=}")
}
complete -o default -F _conferenced conferenced
`,
	"zsh": `_conferenced() {
	local -a values texts
	local line
	for line in ${(f)"$($words[1] __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
		values+=("${line%%$'\t'*}") texts+=("${line/$'\t'/  }")
	done
	if (( $#values )); then compadd -l -d texts -a values; else _files; fi
}
compdef _conferenced conferenced
`,
	"fish": `function __conferenced
	set -l words (commandline -opc)
	set -l word (commandline -ct)
	set -l found ($words[1] __complete $words[2..] "$word" 2>/dev/null)
	if set -q found[1]
		printf '%s\n' $found
	else
		__fish_complete_path "$word"
	end
end
complete -c conferenced -f -a '(__conferenced)'
`,
}

// completeCommand prints the candidates for the last word of a command line.
type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run prints the candidates.
func (c *completeCommand) Run(out output, parser *kong.Kong) error {
	for _, candidate := range candidates(parser.Model, c.Words) {
		if _, err := fmt.Fprintf(out.stdout, "%s\t%s\n", candidate.word, candidate.help); err != nil {
			return err
		}
	}
	return nil
}

// candidate is a word that can complete a command line.
type candidate struct{ word, help string }

// candidates returns the candidates that begin with the last of the words.
func candidates(app *kong.Application, words []string) []candidate {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	node, open := selected(app, words[:len(words)-1])
	var all []candidate
	name, _, hasValue := strings.Cut(last, "=")
	switch {
	case open != nil:
		all = values(open.Value, "")
	case hasValue:
		if flag := flagOf(node, name); flag != nil {
			all = values(flag.Value, name+"=")
		}
	case strings.HasPrefix(last, "-"):
		all = flagsOf(node)
	default:
		all = argumentsOf(app, node)
	}
	return slices.DeleteFunc(all, func(c candidate) bool { return !strings.HasPrefix(c.word, last) })
}

// selected returns the command of the words, and the flag whose value is the next word,
// if there is one.
func selected(app *kong.Application, words []string) (node *kong.Node, open *kong.Flag) {
	node = app.Node
	for _, word := range words {
		if open != nil {
			open = nil
			continue
		}
		if flag := flagOf(node, word); flag != nil && !flag.IsBool() {
			open = flag
		}
		for _, child := range node.Children {
			if child.Name == word {
				node = child
			}
		}
	}
	return node, open
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, flag := range slices.Concat(node.AllFlags(true)...) {
		if "--"+flag.Name == word {
			return flag
		}
	}
	return nil
}

func flagsOf(node *kong.Node) (all []candidate) {
	for _, flag := range slices.Concat(node.AllFlags(true)...) {
		all = append(all, candidate{"--" + flag.Name, flag.Help})
		if flag.Tag.Negatable != "" {
			all = append(all, candidate{"--no-" + flag.Name, flag.Help})
		}
	}
	return all
}

// argumentsOf returns the commands, or the values of a command's argument.
func argumentsOf(app *kong.Application, node *kong.Node) (all []candidate) {
	if len(node.Positional) > 0 && node.Name != "help" {
		return values(node.Positional[0], "")
	}
	if node.Name == "help" {
		node = app.Node
	}
	for _, child := range node.Children {
		if !child.Hidden {
			all = append(all, candidate{child.Name, child.Help})
		}
	}
	return all
}

// values returns the values of an enumeration.
func values(value *kong.Value, prefix string) (all []candidate) {
	if value.Enum == "" {
		return nil
	}
	for _, text := range value.EnumSlice() {
		all = append(all, candidate{prefix + text, value.Help})
	}
	return all
}
