//! Requests and replies over XPC between two tasks, for the benchmarks.

use crate::{names, port, sys, task};
use abi::qos::{AppType, Qos, Role};
use abi::task::ExitStatus;
use task::Spawn;
use xpc::{Connection, Dictionary, Event};

/// The name of the service.
const NAME: &str = "org.tally.bench";
/// What a connection says when the service is not there.
const NO_SERVICE: &str = "the service is there";

/// Serves requests until the end of the task: a dictionary with a number comes, and one with the next number goes back.
pub fn serve() -> ! {
    let listener = Connection::create_listener(NAME, None);
    listener.set_event_handler(|event| {
        let Event::Peer(peer) = event else { sys::exit(1) };
        peer.set_event_handler(|event| {
            let Event::Message(request) = event else { return };
            let number = request.get_int64("number").unwrap_or(0);
            if let Some(mut reply) = request.create_reply() {
                reply.set_int64("number", number + 1);
                reply.send();
            }
        });
        peer.activate();
    });
    listener.activate();
    loop {
        crate::time::sleep(1_000_000);
    }
}

/// A service in another task, and a connection to it.
#[derive(Debug)]
pub struct Rounds {
    connection: Connection,
    task: abi::PortName,
    exit: port::Port,
}

impl Rounds {
    /// Starts a program as the service, whose task has this type, and connects to it.
    pub fn start(program: Spawn, app_type: AppType) -> Rounds {
        let exit = port::Port::new();
        let spawn = program.policy(app_type, Role::Unspecified, Qos::Unspecified).exit_port(exit.name());
        let task = spawn.start().expect("a child");
        while names::look_up(NAME).map(port::deallocate).is_err() {
            crate::time::sleep(1);
        }
        let connection = Connection::create(NAME, None);
        connection.set_event_handler(|_| {});
        connection.activate();
        let rounds = Rounds { connection, task, exit };
        rounds.ask(0);
        rounds
    }

    /// Sends a small dictionary, waits for the reply, and returns the number in it.
    pub fn ask(&self, number: i64) -> i64 {
        let request: Dictionary =
            [("name", xpc::Object::from("a small request")), ("number", number.into())].into_iter().collect();
        let reply = self.connection.send_with_reply_sync(&request).expect(NO_SERVICE);
        reply.get_int64("number").expect(NO_SERVICE)
    }

    /// Ends the service.
    pub fn end(self) {
        self.connection.cancel();
        task::terminate(self.task).expect("it has not ended");
        assert_eq!(task::wait_for_exit(self.exit.name()), Ok(ExitStatus::TERMINATED));
    }
}
