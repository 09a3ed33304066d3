//! A client that lets a service add two numbers.

#![no_std]
#![no_main]

use runtime::names::{self, Job};
use runtime::println;
use runtime::sys::Arguments;
use xpc::{Connection, Dictionary, Event};

runtime::program!(start);

fn start(_: Arguments) -> i32 {
    // What is in a file of a system that has files: which program serves which name.
    let job = Job::new("org.example.adder", "xpc_service").service("org.example.adder");
    names::declare(&job).expect("the name is free");

    let adder = Connection::create("org.example.adder", None);
    adder.set_event_handler(|event| {
        if let Event::Error(error) = event {
            println!("client: {error}");
        }
    });
    adder.activate();

    let request: Dictionary = [("a", 20_i64), ("b", 22)].into_iter().collect();
    match adder.send_with_reply_sync(&request) {
        Ok(reply) => println!("client: 20 + 22 = {}", reply.get_int64("sum").unwrap_or_default()),
        Err(error) => println!("client: there is no reply: {error}"),
    }
    0
}
