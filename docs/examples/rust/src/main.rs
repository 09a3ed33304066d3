//! Two tasks: a server, and a client that the server starts.
//!
//! Both are this program. Without an argument it is the server: it checks in with the name service, starts itself with
//! the argument "client", answers one request, and waits until the client has ended. The client looks the server up and
//! asks it to double a number.

#![no_std]
#![no_main]

use runtime::abi::KernReturn;
use runtime::message::Message;
use runtime::port::Port;
use runtime::sys::Arguments;
use runtime::task::{self, Spawn};
use runtime::{names, println};

runtime::program!(start);

const SERVICE: &str = "org.example.doubler";
const DOUBLE_ID: i32 = 2000;

fn start(mut arguments: Arguments) -> i32 {
    // A program finds its own name in its first argument.
    let name = arguments.next().unwrap_or_default();
    let result = match arguments.next() {
        None => be_server(name),
        Some(_) => be_client(),
    };
    result.unwrap_or_else(|code| {
        println!("it failed: {code}");
        1
    })
}

fn be_client() -> Result<i32, KernReturn> {
    let server = names::look_up(SERVICE)?;
    let reply = Message::copy_send(server).id(DOUBLE_ID).words(&[21]).rpc()?;
    println!("client: 21 doubled is {}", reply.word(0));
    Ok(5)
}

fn be_server(name: &'static str) -> Result<i32, KernReturn> {
    let port = names::check_in(SERVICE)?;
    let exits = Port::new();
    Spawn::program(name).argument("client").exit_port(exits.name()).start()?;
    serve(&port)?;
    let status = task::wait_for_exit(exits.name())?;
    println!("server: the client has ended with {status:?}");
    Ok(0)
}

/// Answers one request.
fn serve(port: &Port) -> Result<(), KernReturn> {
    let mut request = Message::receive(port.name())?;
    // A message may come from anyone who knows the port: look before using it.
    let number = request.view().and_then(|view| view.word(0)).filter(|_| request.message_id() == DOUBLE_ID);
    if let (Some(number), Some(reply)) = (number, request.take_reply()) {
        // The trailer says who sent the message.
        let audit = request.trailer().msgh_audit;
        println!("server: process {} asks for {number}", audit[5]);
        reply.words(&[2 * number]).send_or_destroy();
    }
    request.destroy();
    Ok(())
}
