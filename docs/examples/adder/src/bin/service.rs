//! A service that adds numbers, on a queue of its own.

#![no_std]
#![no_main]

use dispatch::main_queue::dispatch_main;
use dispatch::queue::Queue;
use runtime::sys::Arguments;
use runtime::{println, task};
use xpc::{Connection, Event, Message};

runtime::program!(start);

fn start(_: Arguments) -> i32 {
    let sums = Queue::new("sums");
    let listener = Connection::create_listener("org.example.adder", None);
    listener.set_event_handler(move |event| {
        let Event::Peer(client) = event else { return };
        let sums = sums.clone();
        client.set_event_handler(move |event| {
            let Event::Message(request) = event else { return };
            // The handler returns at once. The block takes its class and its voucher along, so the boost goes on.
            sums.run_async(move || answer(&request));
        });
        client.activate();
    });
    listener.activate();
    dispatch_main()
}

fn answer(request: &Message) {
    let info = task::thread_info(task::thread_self()).expect("the thread runs");
    // An adaptive daemon without a boost has 4.
    println!("service: works at priority {}", info.base_priority);
    // A request may have any contents. One that is dropped without a reply is an error at the client.
    let (Some(a), Some(b)) = (request.get_int64("a"), request.get_int64("b")) else { return };
    let Some(mut reply) = request.create_reply() else { return };
    reply.set_int64("sum", a.wrapping_add(b));
    reply.send();
}
