//! The operations of a trace.

use super::super::world::{Event, Item, Kind, Mode, Received, Send, World};
use super::inputs::{Inputs, bytes, message, port, voucher};
use serde_json::{Map, Value, json};
use voucher::importance::{Donation, Marks, SendMode};
use voucher::{Error, VoucherId};

/// `KERN_FAILURE`
pub const KERN_FAILURE: u32 = 5;

/// The fields of an answer.
pub type Answer = Map<String, Value>;

/// Performs an operation and returns the answer in the notation of traces.
///
/// # Errors
/// If the operation is unknown, or a name in it means nothing.
pub fn perform(world: &mut World, operation: &Value) -> Result<Answer, String> {
    let inputs = Inputs::new(operation);
    world.died.clear();
    let mut answer = dispatch(world, &inputs)?;
    let events: Vec<Value> = world.take_events().into_iter().map(event).collect();
    if !events.is_empty() {
        answer.insert("events".to_owned(), Value::Array(events));
    }
    // A voucher that no task ever had has no name, and is not reported.
    let died: Vec<Value> =
        world.died.iter().filter_map(|id| world.voucher_names.get(id)).map(|name| json!(name)).collect();
    if !died.is_empty() {
        answer.insert("died".to_owned(), Value::Array(died));
    }
    Ok(answer)
}

fn event(event: Event) -> Value {
    match event {
        Event::Boost(task) => json!(["boost", task]),
        Event::Unboost(task) => json!(["unboost", task]),
        Event::Timer(time) => json!(["timer", time]),
        Event::SendPossible(task, port) => json!(["send_possible", task, port]),
    }
}

fn dispatch(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    match inputs.text("op")? {
        "task" => task(world, inputs),
        "fork" => replace(world, inputs, World::fork),
        "exec" => replace(world, inputs, World::exec),
        "exit" => with_task(world, inputs, |world, task| world.exit(task)),
        "port" => {
            let owner = inputs.task(world, "task")?;
            let limit = inputs.number("qlimit")? as usize;
            world.port(inputs.text("port")?, owner, inputs.flag("donation"), limit);
            success()
        }
        "set_donation" => with_port(world, inputs, |world, port| world.set_donation(port)),
        "set_tempowner" => with_port(world, inputs, |world, port| world.set_temp_owner(port)),
        "destroy_port" => with_port(world, inputs, |world, port| world.destroy_port(port)),
        "pd_request" => {
            let notify = inputs.live_port(world, "notify")?;
            with_port(world, inputs, |world, port| world.request_port_destroyed(port, notify))
        }
        "sp_request" => {
            let task = inputs.task(world, "task")?;
            with_port(world, inputs, |world, port| world.request_send_possible(task, port))
        }
        "send" => send(world, inputs),
        "interrupt" => interrupt(world, inputs),
        "receive" => receive(world, inputs),
        "drop" => {
            let voucher = held_voucher(world, inputs)?;
            with_task(world, inputs, |world, task| world.drop_voucher(task, voucher))
        }
        "create_voucher" => create_voucher(world, inputs),
        "drop_external" => drop_external(world, inputs),
        "describe" => {
            let text = world.describe(inputs.voucher(world, "voucher")?, 4096).map_err(|error| format!("{error:?}"))?;
            answer([("ret", json!(0)), ("text", json!(text))])
        }
        "list_donating" => list_donating(world, inputs),
        "role" | "nap" | "ext_bg" => policy(world, inputs),
        "mark_donor" => with_task(world, inputs, |world, task| world.mark_donor(task)),
        "mark" => mark(world, inputs),
        "filelock" => {
            let hold = inputs.text("do")? == "hold";
            let task = inputs.task(world, "task")?;
            returned(world.file_lock(task, hold))
        }
        // No boost is ever held by hand, so there is none to add to and none to drop.
        "legacy" => answer([("ret", json!(KERN_FAILURE))]),
        "advance" => {
            world.advance(inputs.number("ms")?, inputs.flag("hold_timer"));
            answer([("ret", json!(0)), ("now", json!(world.kernel.now))])
        }
        "timer" => {
            world.fire_due_timer();
            success()
        }
        other => Err(format!("unknown operation {other}")),
    }
}

fn answer<const N: usize>(fields: [(&str, Value); N]) -> Result<Answer, String> {
    Ok(fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
}

fn success() -> Result<Answer, String> {
    answer([("ret", json!(0))])
}

fn code(error: Error) -> i32 {
    error.code().0
}

fn returned(result: Result<(), Error>) -> Result<Answer, String> {
    answer([("ret", json!(result.map_or_else(code, |()| 0)))])
}

fn with_task(world: &mut World, inputs: &Inputs<'_>, act: impl FnOnce(&mut World, &str)) -> Result<Answer, String> {
    let task = inputs.task(world, "task")?;
    act(world, task);
    success()
}

fn with_port(world: &mut World, inputs: &Inputs<'_>, act: impl FnOnce(&mut World, &str)) -> Result<Answer, String> {
    let port = inputs.live_port(world, "port")?;
    act(world, port);
    success()
}

fn replace(world: &mut World, inputs: &Inputs<'_>, act: fn(&mut World, &str, &str)) -> Result<Answer, String> {
    let new = inputs.text("new")?;
    with_task(world, inputs, |world, task| act(world, task, new))
}

fn marks(letters: &str) -> Marks {
    Marks {
        receiver: letters.contains('R'),
        denap: letters.contains('N'),
        donor: letters.contains('D'),
        live_donor: letters.contains('L'),
    }
}

fn task(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    let kind = match inputs.text("type")? {
        "app" => Kind::App,
        "adaptive" => Kind::Adaptive,
        "standard" => Kind::Standard,
        "interactive" => Kind::Interactive,
        "background" | "driver" | "none" | "marks" => Kind::Other,
        other => return Err(format!("unknown type of task {other}")),
    };
    let marks = inputs.get("marks").and_then(Value::as_str).map_or(kind.marks(), marks);
    let role = inputs.number("role").unwrap_or(0) as u32;
    world.spawn(inputs.text("task")?, kind, role, marks, &inputs.texts("watch"));
    success()
}

fn policy(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    let value = inputs.number("value")?;
    let op = inputs.text("op")?;
    with_task(world, inputs, |world, task| {
        world.set_policy(task, |task| match op {
            "role" => task.role = value as u32,
            "nap" => task.napped = value != 0,
            _ => task.external_background = value != 0,
        });
    })
}

fn mark(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    let (task, what, value) = (inputs.task(world, "task")?, inputs.text("what")?, inputs.flag("value"));
    returned(world.mark(task, |marks| match what {
        "receiver" => marks.receiver = value,
        _ => marks.denap = value,
    }))
}

fn send(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    let task = inputs.task(world, "task")?;
    let name = inputs.text("port")?;
    port(world, name)?;
    let options = inputs.texts("options");
    let has = |option| options.contains(&option);
    let header = inputs.get("voucher").map(|_| held_voucher(world, inputs)).transpose()?;
    let body = inputs.texts("body_vouchers").into_iter().map(|name| voucher(world, name));
    let send = Send {
        voucher: header,
        move_voucher: header.is_some() && inputs.number("disposition")? == 17,
        mode: match () {
            () if has("noimportance") => SendMode::NoImportance,
            () if has("static") => SendMode::Static,
            () => SendMode::Normal,
        },
        notify: has("notify"),
        rights: inputs.texts("receive_rights").into_iter().map(|name| port(world, name)).collect::<Result<_, _>>()?,
        body_vouchers: body.collect::<Result<_, _>>()?,
        block: inputs.get("when_full").is_some_and(|when| when == "block"),
        dest_died_after_copyin: inputs.flag("dest_died_after_copyin"),
    };
    let (message, result) = world.send(task, name, send);
    let mut answer: Answer = answer([("ret", result.map_or(json!("blocked"), |code| json!(code)))])?;
    answer.insert("msg".to_owned(), message.map_or(Value::Null, |message| json!(format!("m{message}"))));
    Ok(answer)
}

fn interrupt(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    let id = message(inputs.text("msg")?)?;
    if !world.messages.get(&id).is_some_and(|message| message.blocked) {
        return Err(format!("no sender waits with the message m{id}"));
    }
    answer([("ret", json!(world.interrupt(id)))])
}

fn receive(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    let task = inputs.task(world, "task")?;
    let port = inputs.live_port(world, "port")?;
    let mode = match inputs.get("mode").and_then(Value::as_str) {
        None => Mode::Plain,
        Some("large_keep") => Mode::LargeKeep,
        Some("large_destroy") => Mode::LargeDestroy,
        Some("copyout_fail") => Mode::CopyoutFail,
        Some(other) => return Err(format!("unknown mode {other}")),
    };
    let received = world.receive(task, port, inputs.flag("want_voucher"), mode);
    Ok(received_answer(world, &received))
}

fn received_answer(world: &World, received: &Received) -> Answer {
    let name = |id: &VoucherId| json!(world.voucher_names[id]);
    let mut answer = Answer::new();
    answer.insert("ret".to_owned(), json!(received.result));
    if let Some(message) = received.message {
        answer.insert("msg".to_owned(), json!(format!("m{message}")));
    }
    if received.result == 0 {
        answer.insert("raised".to_owned(), json!(u8::from(received.raised)));
        answer.insert("voucher".to_owned(), received.voucher.as_ref().map_or(Value::Null, name));
        answer.insert("voucher_disposition".to_owned(), json!(if received.announced { 17 } else { 0 }));
    }
    if !received.body_vouchers.is_empty() {
        answer.insert("body_vouchers".to_owned(), received.body_vouchers.iter().map(name).collect());
    }
    answer
}

/// Returns the voucher of an operation, which its task must have.
fn held_voucher(world: &World, inputs: &Inputs<'_>) -> Result<VoucherId, String> {
    let (task, voucher) = (inputs.task(world, "task")?, inputs.voucher(world, "voucher")?);
    if world.kernel.task(task).vouchers.contains_key(&voucher) {
        return Ok(voucher);
    }
    Err(format!("the task {task} has no such voucher"))
}

fn create_voucher(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    let task = inputs.task(world, "task")?;
    let recipes = inputs.get("recipes").and_then(Value::as_array).ok_or("the field recipes is missing")?;
    let items: Vec<Item> = recipes.iter().map(|recipe| item(world, recipe)).collect::<Result<_, _>>()?;
    let created = world.create_voucher(task, &items);
    let name = created.unwrap_or(None).map(|id| world.voucher_names[&id].clone());
    answer([("ret", json!(created.map_or_else(code, |_| 0))), ("voucher", json!(name))])
}

fn item(world: &World, recipe: &Value) -> Result<Item, String> {
    let fields = Inputs::new(recipe);
    let previous = fields.get("prev").and_then(Value::as_str).map(|name| voucher(world, name)).transpose()?;
    let content = bytes(fields.get("content").and_then(Value::as_str).unwrap_or(""))?;
    Ok((fields.number("key")? as u32, fields.number("command")? as u32, previous, content))
}

fn drop_external(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    let task = inputs.task(world, "task")?;
    let voucher = inputs.voucher(world, "voucher")?;
    let refs = inputs.number("refs")? as u32;
    let command = inputs.number("command").unwrap_or(2) as u32;
    match world.command(task, voucher, command, &refs.to_le_bytes(), 4) {
        Ok(left) => {
            let left = u32::from_le_bytes(left.try_into().map_err(|_| "the result has not 4 bytes")?);
            answer([("ret", json!(0)), ("out", json!(left))])
        }
        Err(error) => answer([("ret", json!(code(error)))]),
    }
}

/// The number of tasks that the reference lists at most.
const LIST_MAX: usize = 20;

/// Lists the tasks that the reference's debugging call lists: for a message it names the sender, which is a slip.
fn list_donating(world: &mut World, inputs: &Inputs<'_>) -> Result<Answer, String> {
    let id = world.element(inputs.task(world, "task")?);
    let task = |world: &World, donation| {
        let element = match donation {
            Donation::Inherit(inherit) => world.importance.inherit(inherit).map(|inherit| inherit.to()),
            Donation::Message(_) => Some(id),
        };
        let number = world.importance.element(element?)?.task()?;
        Some(world.kernel.tasks[number as usize].name.clone())
    };
    let donations: Vec<Donation> = world.importance.donations(id).collect();
    let mut list: Vec<String> = donations.into_iter().filter_map(|donation| task(world, donation)).collect();
    list.dedup();
    list.truncate(LIST_MAX);
    answer([("ret", json!(0)), ("list", json!(list))])
}
