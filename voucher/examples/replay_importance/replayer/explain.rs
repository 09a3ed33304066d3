//! The story of a trace in plain words: what happens, and what changes.

use super::super::world::World;
use super::inputs::Inputs;
use super::operations::{self, Answer};
use super::state::state;
use super::traces::{lines, word};
use serde_json::{Map, Value};
use std::fmt::Write;

/// Tells the traces of a file.
pub fn explain(text: &str) -> String {
    let mut story = String::new();
    let mut world = World::new();
    for (number, line) in lines(text) {
        let Ok(operation) = line else {
            story.push_str("  (not a line of a trace)\n");
            continue;
        };
        if operation["op"] == "begin" {
            world = World::new();
            let _ = writeln!(story, "{}: {}", word(&operation["name"]), word(&operation["why"]));
        } else if operation["op"] == "end" {
            story.push('\n');
        } else {
            tell(&mut world, &operation, number, &mut story);
        }
    }
    story
}

/// Tells one operation.
fn tell(world: &mut World, operation: &Value, number: usize, story: &mut String) {
    let before = state(world);
    let sentence = match operations::perform(world, operation) {
        Ok(answer) => format!("{}{}", call(operation), outcome(operation, &answer)),
        Err(error) => format!("{} That means nothing here: {error}.", call(operation)),
    };
    let _ = writeln!(story, "  {number:>4}  {sentence}");
    if operation["expect"].get("violates").is_some() {
        story.push_str(
            "        (The reference breaks an invariant here; what follows is the specification's answer.)\n",
        );
    }
    for change in changes(&before, &state(world)) {
        let _ = writeln!(story, "          {change}");
    }
}

fn list(values: &[Value]) -> String {
    values.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Returns what is called.
fn call(operation: &Value) -> String {
    let inputs = Inputs::new(operation);
    let field = |name: &str| inputs.get(name).map_or_else(String::new, word);
    let (task, port, voucher) = (field("task"), field("port"), field("voucher"));
    match operation["op"].as_str().unwrap_or_default() {
        "task" => start(&inputs, &task),
        "fork" => format!("{task} forks: its child is {}.", field("new")),
        "exec" => format!("{task} runs a new program, and is called {} from now on.", field("new")),
        "exit" => format!("{task} ends."),
        "port" if inputs.flag("donation") => format!("{task} makes the port {port}, which accepts donation."),
        "port" => format!("{task} makes the port {port}, which accepts no donation."),
        "set_donation" => format!("{port} accepts donation from now on."),
        "set_tempowner" => format!("{port} gets a temporary owner, for now nobody."),
        "destroy_port" => format!("The receive right of {port} is destroyed."),
        "pd_request" => format!("If {port} is to die, its receive right shall go to {} instead.", field("notify")),
        "sp_request" => format!("{task} wants to be told when {port} has room."),
        "send" => send(&inputs, &task, &port),
        "interrupt" => format!("The sender that waits with {} gives up.", field("msg")),
        "receive" if inputs.flag("want_voucher") => format!("{task} receives from {port}, with vouchers."),
        "receive" => format!("{task} receives from {port}, without vouchers."),
        "drop" => format!("{task} drops a reference to {voucher}."),
        "create_voucher" => format!("{task} makes a voucher: {}.", recipes(&inputs)),
        "drop_external" if inputs.number("refs") == Ok(0) => format!("{task} asks for the boosts of {voucher}."),
        "drop_external" => format!("{task} gives {} boosts of {voucher} back.", field("refs")),
        "describe" => format!("Where does the importance in {voucher} come from?"),
        "list_donating" => format!("To whom does {task} donate?"),
        "role" => format!("{task} gets the role {}.", field("value")),
        "nap" if inputs.flag("value") => format!("{task} is put to nap."),
        "nap" => format!("The nap of {task} ends."),
        "ext_bg" if inputs.flag("value") => format!("{task} is put into the background."),
        "ext_bg" => format!("{task} is taken out of the background."),
        "mark_donor" => format!("{task} makes itself a donor."),
        "mark" => format!("The mark {} of {task} becomes {}.", field("what"), field("value")),
        "filelock" if field("do") == "hold" => format!("A donor waits for a file lock of {task}."),
        "filelock" => format!("No donor waits for a file lock of {task} any more."),
        "legacy" => format!("{task} tries to {} a boost by hand.", field("do")),
        "advance" => format!("{} ms pass.", field("ms")),
        "timer" => "The timer fires late.".to_owned(),
        other => format!("Unknown operation {other}."),
    }
}

fn start(inputs: &Inputs<'_>, task: &str) -> String {
    let what = match inputs.text("type").unwrap_or_default() {
        "app" => "an application",
        "adaptive" => "an adaptive daemon",
        "standard" => "a standard daemon",
        "interactive" => "an interactive daemon",
        "background" => "a background daemon",
        "driver" => "a driver",
        "marks" => "a program with given marks",
        _ => "a program without a type",
    };
    let watch = inputs.texts("watch");
    let watch = if watch.is_empty() { String::new() } else { format!(" to serve {}", watch.join(", ")) };
    format!("{task} starts, {what}{watch}.")
}

fn send(inputs: &Inputs<'_>, task: &str, port: &str) -> String {
    let mut text = format!("{task} sends a message to {port}");
    if let Some(voucher) = inputs.get("voucher") {
        let how = if inputs.number("disposition") == Ok(17) { "with its right to" } else { "with a copy of" };
        let _ = write!(text, " {how} {}", word(voucher));
    }
    for option in inputs.texts("options") {
        text.push_str(match option {
            "noimportance" => ", without importance",
            "static" => ", boosting in any case",
            _ => ", to be told when there is room",
        });
    }
    for (field, what) in [("receive_rights", "with the receive right of"), ("body_vouchers", "with, in its body,")] {
        let names = inputs.texts(field).join(", ");
        if !names.is_empty() {
            let _ = write!(text, ", {what} {names}");
        }
    }
    text + "."
}

fn recipes(inputs: &Inputs<'_>) -> String {
    let items = inputs.get("recipes").and_then(Value::as_array);
    let item = |recipe: &Value| {
        let previous = recipe.get("prev").map_or_else(String::new, |previous| format!(" from {}", word(previous)));
        let what = match recipe["command"].as_u64().unwrap_or_default() {
            1 => "copy",
            2 => "remove",
            3 => "store a handle in",
            10 => "redeem",
            200 => "its own importance in",
            211 => "bytes in",
            _ => "an unknown command for",
        };
        let key = match recipe["key"].as_u64().unwrap_or_default() {
            0xFFFF_FFFF => "all keys".to_owned(),
            key => format!("key {key}"),
        };
        format!("{what} {key}{previous}")
    };
    items.into_iter().flatten().map(item).collect::<Vec<_>>().join("; ")
}

/// Returns how a call ended, and the events in their order.
fn outcome(operation: &Value, answer: &Answer) -> String {
    let mut text = match answer.get("ret") {
        Some(Value::Number(code)) if code.as_u64() == Some(0) => String::new(),
        Some(Value::Number(code)) => format!(" {}.", failure(code.as_u64().unwrap_or_default())),
        _ => " The queue is full, and the sender waits.".to_owned(),
    };
    let given = |field: &str| answer.get(field).filter(|value| !value.is_null());
    if operation["op"] == "receive" && answer["ret"] == 0 {
        let voucher = given("voucher").map_or_else(|| "no voucher".to_owned(), word);
        let _ = write!(text, " It gets {} with {voucher}.", word(&answer["msg"]));
    } else if let Some(message) = given("msg") {
        let _ = write!(text, " The message is {}.", word(message));
    } else if let Some(voucher) = given("voucher") {
        let _ = write!(text, " It is {}.", word(voucher));
    }
    for (field, what) in [("out", "Boosts left"), ("text", "The text is"), ("list", "They are")] {
        if let Some(value) = given(field) {
            let value = value.as_array().map_or_else(|| word(value), |values| list(values));
            let _ = write!(text, " {what}: {}.", if value.is_empty() { "none" } else { &value });
        }
    }
    for event in given("events").and_then(Value::as_array).into_iter().flatten() {
        let _ = match event[0].as_str().unwrap_or_default() {
            "boost" => write!(text, " {} is boosted.", word(&event[1])),
            "unboost" => write!(text, " {} is boosted no more.", word(&event[1])),
            "timer" => write!(text, " The timer fires."),
            _ => write!(text, " {} is told that {} has room.", word(&event[1]), word(&event[2])),
        };
    }
    text
}

fn failure(code: u64) -> String {
    match code {
        0x1000_0003 => "The port is dead".to_owned(),
        0x1000_0004 => "The queue is full".to_owned(),
        0x1000_0007 => "The send is interrupted".to_owned(),
        0x1000_4004 => "The buffer is too small".to_owned(),
        0x1000_400B => "The header cannot be copied out".to_owned(),
        code => format!("It is refused, with the code {code}"),
    }
}

/// Returns what has changed, a sentence for each object.
fn changes(before: &Value, after: &Value) -> Vec<String> {
    let none = Map::new();
    let objects = |state: &'_ Value, kind: &str| state[kind].as_object().cloned().unwrap_or_else(|| none.clone());
    let mut found = Vec::new();
    for (kind, describe) in KINDS {
        let (before, after) = (objects(before, kind), objects(after, kind));
        for (name, new) in &after {
            let old = before.get(name);
            let sentence = describe(old.unwrap_or(&Value::Null), new);
            if old != Some(new) && !sentence.is_empty() {
                found.push(format!("{name} {sentence}."));
            }
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            found.push(format!("{name} is gone."));
        }
    }
    found
}

/// Describes what is new in an object.
type Describe = fn(&Value, &Value) -> String;

/// The kinds of objects whose changes are told. Tasks are told by their elements.
const KINDS: [(&str, Describe); 5] =
    [("msgs", message), ("ports", port), ("elems", element), ("inherits", inherit), ("vouchers", voucher)];

fn number(value: &Value, what: &str) -> String {
    let count = value.as_u64().unwrap_or_default();
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn message(old: &Value, new: &Value) -> String {
    let link = if new["link"].is_null() { String::new() } else { format!("is linked to {}", word(&new["link"])) };
    let raised = match (old["raised"].as_u64(), new["raised"].as_u64()) {
        (_, Some(1)) => "boosts its port",
        (Some(1), _) => "boosts its port no more",
        _ => "does not boost its port",
    };
    match (old.is_null(), link.is_empty()) {
        (true, true) if new["raised"] == 0 => "carries no importance".to_owned(),
        (true, false) => format!("{link} and {raised}"),
        _ if old["raised"] != new["raised"] || old.is_null() => raised.to_owned(),
        _ => String::new(),
    }
}

fn port(old: &Value, new: &Value) -> String {
    let mut parts = Vec::new();
    if old["c"] != new["c"] && !(old.is_null() && new["c"] == 0) {
        parts.push(format!("has {}", number(&new["c"], "boost")));
    }
    if !old.is_null() && old["in"] != new["in"] {
        let place = word(&new["in"]);
        parts.push(
            place.strip_prefix("->").map_or_else(|| format!("is in {place}"), |next| format!("travels towards {next}")),
        );
    }
    if old["bound"] != new["bound"] && !(old.is_null() && new["bound"].is_null()) {
        parts.push(match &new["bound"] {
            Value::Null => "counts for no temporary owner any more".to_owned(),
            owner => format!("counts for {}", word(owner)),
        });
    }
    parts.join(", ")
}

fn element(old: &Value, new: &Value) -> String {
    let mut parts = Vec::new();
    if old["a"] != new["a"] && !(old.is_null() && new["a"] == 0) {
        parts.push(format!("has {}", number(&new["a"], "boost")));
    }
    match (old["donor"].as_u64(), new["donor"].as_u64()) {
        (Some(0) | None, Some(1)) => parts.push("is a donor".to_owned()),
        (Some(1), Some(0)) => parts.push("is a donor no more".to_owned()),
        _ => {}
    }
    if old["delayed"] != new["delayed"] && new["delayed"] == true {
        parts.push("keeps its policy for a while".to_owned());
    }
    if !old.is_null() && !old["task"].is_null() && new["task"].is_null() {
        parts.push("lives on without its task".to_owned());
    }
    parts.join(", ")
}

fn inherit(old: &Value, new: &Value) -> String {
    let mut parts = Vec::new();
    if old.is_null() {
        parts.push(format!("is the importance of {} in {}", word(&new["from"]), word(&new["to"])));
    }
    if old["x"] != new["x"] {
        let left = new["x"][0].as_u64().unwrap_or_default() - new["x"][1].as_u64().unwrap_or_default();
        parts.push(format!("holds {}", number(&Value::from(left), "boost")));
    }
    match (old["donating"].as_u64(), new["donating"].as_u64()) {
        (Some(0), Some(1)) => parts.push("donates again".to_owned()),
        (Some(1), Some(0)) => parts.push("donates no more".to_owned()),
        (None, Some(0)) => parts.push("does not donate yet".to_owned()),
        _ => {}
    }
    parts.join(", ")
}

fn voucher(old: &Value, new: &Value) -> String {
    if !old.is_null() {
        return String::new();
    }
    let importance = (!new["importance"].is_null()).then(|| format!("the importance {}", word(&new["importance"])));
    let data = (!new["user_data"].is_null()).then(|| format!("the bytes {}", word(&new["user_data"])));
    let parts: Vec<String> = [importance, data].into_iter().flatten().collect();
    format!("holds {}", parts.join(" and "))
}
