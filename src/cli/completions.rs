//! `groupcast completions` and `groupcast man`: what shells and man want to know, from the same definitions as the help.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use super::report::Failure;

/// Writes a completion script to standard output
///
/// For bash: groupcast completions bash > /etc/bash_completion.d/groupcast
/// For zsh: groupcast completions zsh > "${fpath[1]}/_groupcast"
/// For fish: groupcast completions fish > ~/.config/fish/completions/groupcast.fish
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the help text shows a shell's index"
)]
pub(super) struct CompletionsArguments {
    /// The shell to write for
    shell: Shell,
}

/// Writes the man page to standard output, or one a subcommand into a folder
///
/// To read it at once: groupcast man | man -l -
#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// The folder, which is made if need be; like /usr/local/share/man/man1
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(super) fn completions(
    arguments: &CompletionsArguments,
    mut command: Command,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "groupcast", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(())
}

pub(super) fn man(arguments: &ManArguments, command: Command) -> Result<(), Failure> {
    let Some(folder) = &arguments.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        io::stdout().lock().write_all(&page)?;
        return Ok(());
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    Ok(())
}
