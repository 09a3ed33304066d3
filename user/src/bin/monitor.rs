//! The monitor at the console: see `user::monitor`.
//!
//! ```text
//! monitor [--status STATUS] [PROGRAM [ARGUMENT…]]
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::string::String;
use user::abi::policy::TASK_CATEGORY_POLICY;
use user::abi::qos::Role;
use user::monitor::command::Session;
use user::sys::Arguments;
use user::{monitor, policy, port, task};

runtime::program!(start);

fn start(arguments: Arguments) -> i32 {
    // Above what it watches, so that it answers while programs compute.
    let role = [Role::Control as u32];
    if policy::set_task_policy(port::task_self(), TASK_CATEGORY_POLICY, &role).is_err() {
        user::println!("monitor: it runs at the priority of what it watches");
    }
    let mut arguments = arguments.skip(1).peekable();
    let mut status = 0;
    if arguments.next_if_eq(&"--status").is_some() {
        status = arguments.next().and_then(|status| status.parse().ok()).unwrap_or(1);
    }
    let bootstrap = Some(task::bootstrap_port()).filter(|port| port.is_valid());
    let mut session = Session { bootstrap, status, ..Session::default() };
    let mut command = String::from("run");
    for argument in arguments {
        command.push(' ');
        command.push_str(argument);
    }
    if command != "run" {
        session.execute(&command);
    }
    monitor::run(&mut session)
}
