package main

import "github.com/spf13/cobra"

func newCompletion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes this program's command lines",
		Long:  "Prints a script for bash, zsh, fish or powershell that completes this program's command lines.",
		Example: "  source <(roost completion bash)\n" +
			"  roost completion fish > ~/.config/fish/completions/roost.fish",
		Args:      arguments(1, 1, "SHELL"),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usagef("completion: %q is none of bash, zsh, fish, powershell", args[0])
		},
	}
}
