//! A service that adds two numbers. The name service starts it when the first client asks, and it exits when it has had
//! nothing to do for a while.

#![no_std]
#![no_main]

use core::time::Duration;
use runtime::sys::Arguments;
use xpc::{Connection, Event};

runtime::program!(start);

fn start(_: Arguments) -> i32 {
    let listener = Connection::create_listener("org.example.adder", None);
    listener.set_event_handler(|event| {
        if let Event::Peer(client) = event {
            client.set_event_handler(serve);
            client.activate();
        }
    });
    listener.activate();
    xpc::service::exit_when_idle(Duration::from_secs(5));
    dispatch::main_queue::dispatch_main()
}

/// Handles what a client sends, with the client's class and, if the client is important, with its importance.
fn serve(event: Event) {
    let Event::Message(request) = event else { return };
    let (Some(a), Some(b)) = (request.get_int64("a"), request.get_int64("b")) else { return };
    if let Some(mut reply) = request.create_reply() {
        reply.set_int64("sum", a.wrapping_add(b));
        reply.send();
    }
}
