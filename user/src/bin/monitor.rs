//! The monitor at the console: see `user::monitor`.
//!
//! ```text
//! monitor [PROGRAM [ARGUMENT…]]
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use user::abi::qos::{Priority, Qos};
use user::monitor::command::Session;
use user::sys::Arguments;
use user::{monitor, policy, task};

user::program!(start);

fn start(arguments: Arguments) -> i32 {
    // Above what it watches, so that it answers while programs compute.
    if policy::set_own_class(Priority::of(Qos::UserInteractive)).is_err() {
        user::println!("monitor: it runs at the priority of what it watches");
    }
    let mut session = Session { bootstrap: Some(task::bootstrap_port()).filter(|port| port.is_valid()) };
    let mut command = alloc::string::String::from("run");
    for argument in arguments.skip(1) {
        command.push(' ');
        command.push_str(argument);
    }
    if command != "run" {
        session.execute(&command);
    }
    monitor::run(&mut session)
}
