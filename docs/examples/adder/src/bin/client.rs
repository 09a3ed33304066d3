//! A client of the service that adds numbers.

#![no_std]
#![no_main]

use dispatch::main_queue::dispatch_main;
use runtime::abi::qos::{AppType, Qos, Role};
use runtime::names::{self, Job};
use runtime::sys::{Arguments, exit};
use runtime::{policy, println};
use xpc::{Connection, Dictionary, Event};

runtime::program!(start);

fn start(_: Arguments) -> i32 {
    // The service is declared, and starts when its first client looks for it.
    let job = Job::new("adder", "service").service("org.example.adder");
    let job = job.policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified);
    names::declare(&job).expect("the first program may declare jobs");
    // The requests of this program boost, as those of an app do in whose window the user works.
    policy::mark_donor().expect("a program may donate");
    let adder = Connection::create("org.example.adder", None);
    adder.set_event_handler(|event| {
        if let Event::Error(error) = event {
            println!("client: {error}");
        }
    });
    adder.activate();
    let mut request = Dictionary::new();
    request.set_int64("a", 20);
    request.set_int64("b", 22);
    adder.send_with_reply(&request, None, |reply| {
        match reply.map(|reply| reply.get_int64("sum")) {
            Ok(sum) => println!("client: the sum is {}", sum.unwrap_or(0)),
            Err(error) => println!("client: there is no sum: {error}"),
        }
        exit(0);
    });
    dispatch_main()
}
