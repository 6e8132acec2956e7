package main

// helpCommand is listed among the commands. Before the arguments are parsed,
// withHelpFlag replaces it.
type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command; all commands if not given."`
}

// withHelpFlag returns the arguments with --help in place of the command help.
func withHelpFlag(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(args[1:len(args):len(args)], "--help")
	default:
		return args
	}
}
