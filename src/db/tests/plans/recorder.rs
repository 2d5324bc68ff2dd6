//! Records the text of each statement that is sent over the connections of one database.
//!
//! So the plans are those of the statements that the module issues, and not of copies in a test.

use std::collections::BTreeSet;
use std::sync::Mutex;

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};

/// The recorded databases, by a part of their URLs, with their statements.
static RECORDED: Mutex<Vec<(String, BTreeSet<String>)>> = Mutex::new(Vec::new());

/// Stops recording when it is dropped.
pub struct Recorder {
    of: String,
}

impl Recorder {
    /// Records the statements of connections that are opened from now on, to a URL that contains this.
    pub fn of(part_of_url: &str) -> Recorder {
        let of = part_of_url.to_owned();
        RECORDED.lock().unwrap().push((of.clone(), BTreeSet::new()));
        // Set for every connection of the process; of other tests' databases only the URL is read.
        set_default_instrumentation(|| Some(Box::new(Listener::default()))).unwrap();
        Recorder { of }
    }

    /// Every statement that reads or changes a table, once, without its values.
    pub fn statements(&self) -> Vec<String> {
        let all = RECORDED.lock().unwrap();
        let own = all.iter().find(|(of, _)| *of == self.of);
        own.map_or_else(Vec::new, |(_, statements)| {
            statements.iter().cloned().collect()
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        RECORDED.lock().unwrap().retain(|(of, _)| *of != self.of);
    }
}

/// The instrumentation of one connection.
#[derive(Default)]
struct Listener {
    to: Option<String>,
}

impl Instrumentation for Listener {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => {
                let all = RECORDED.lock().unwrap();
                let own = all.iter().find(|(of, _)| url.contains(of));
                self.to = own.map(|(of, _)| of.clone());
            }
            InstrumentationEvent::StartQuery { query, .. } => {
                let Some(to) = &self.to else { return };
                let query = query.to_string();
                let text = query.split(" -- binds:").next().unwrap_or_default();
                // An insert only reads the unique indexes that it writes; other statements set up connections.
                let reads = ["SELECT ", "UPDATE ", "DELETE ", "WITH "];
                let is_of_a_table = text.contains(" FROM ") || text.starts_with("UPDATE ");
                if reads.iter().any(|it| text.starts_with(it)) && is_of_a_table {
                    let mut all = RECORDED.lock().unwrap();
                    if let Some((_, statements)) = all.iter_mut().find(|(of, _)| of == to) {
                        statements.insert(text.trim().to_owned());
                    }
                }
            }
            _ => {}
        }
    }
}
