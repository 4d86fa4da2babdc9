//! What can be typed, and what is refused.

use clap::{CommandFactory, Parser};

use super::*;

#[test]
fn definitions_agree_with_each_other() {
    Arguments::command().debug_assert();
}

#[test]
fn the_commands_are_those_promised() {
    let command = Arguments::command();
    let names: Vec<_> = command.get_subcommands().map(|command| command.get_name()).collect();
    let wanted = "demo serve catch-up status sql explain prove replay publish sources connector \
                  generate bench emulator";
    assert_eq!(names, wanted.split(' ').collect::<Vec<_>>());
}

#[test]
fn global_options_stand_before_and_after_the_command() {
    for line in ["freshet -v --config a.toml serve", "freshet serve --config a.toml -v"] {
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!((arguments.config, arguments.verbose), ("a.toml".into(), 1));
    }
}

#[test]
fn wrong_lines_are_refused_with_exit_code_2() {
    for line in [
        "freshet",
        "freshet run",
        "freshet demo --seconds 0",
        "freshet sql",
        "freshet publish setup",
        "freshet publish setup --print --apply",
        "freshet publish hold",
        "freshet generate --once --rate 5",
        "freshet --log-format xml serve",
    ] {
        let error = Arguments::try_parse_from(line.split(' ')).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}
