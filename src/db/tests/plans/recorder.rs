//! Listens to the connections of one database, and keeps the text of each statement that goes over them.
//!
//! So what is explained is what the room issues, and not what a test believes that it does.

use std::collections::BTreeSet;
use std::sync::Mutex;

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};

/// Databases that are listened to, by what their URLs contain, and what was heard.
static HEARD: Mutex<Vec<(String, BTreeSet<String>)>> = Mutex::new(Vec::new());

/// Stops listening when it is dropped.
pub struct Recorder {
    of: String,
}

impl Recorder {
    /// Listens to connections that are made from now on to a URL that contains this.
    pub fn of(part_of_url: &str) -> Recorder {
        let of = part_of_url.to_owned();
        HEARD.lock().unwrap().push((of.clone(), BTreeSet::new()));
        // The same for every connection of the process: those of other tests' databases are asked for their URL only.
        set_default_instrumentation(|| Some(Box::new(Listener::default()))).unwrap();
        Recorder { of }
    }

    /// Every statement that reads or changes a table, once, without its values.
    pub fn heard(&self) -> Vec<String> {
        let all = HEARD.lock().unwrap();
        let own = all.iter().find(|(of, _)| *of == self.of);
        own.map_or_else(Vec::new, |(_, heard)| heard.iter().cloned().collect())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        HEARD.lock().unwrap().retain(|(of, _)| *of != self.of);
    }
}

/// One connection's.
#[derive(Default)]
struct Listener {
    to: Option<String>,
}

impl Instrumentation for Listener {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => {
                let all = HEARD.lock().unwrap();
                let own = all.iter().find(|(of, _)| url.contains(of));
                self.to = own.map(|(of, _)| of.clone());
            }
            InstrumentationEvent::StartQuery { query, .. } => {
                let Some(to) = &self.to else { return };
                let said = query.to_string();
                let text = said.split(" -- binds:").next().unwrap_or_default();
                // An insert looks nothing up but the unique indexes that it has to write; the rest sets up connections.
                let looks = ["SELECT ", "UPDATE ", "DELETE ", "WITH "];
                let is_of_a_table = text.contains(" FROM ") || text.starts_with("UPDATE ");
                if looks.iter().any(|it| text.starts_with(it)) && is_of_a_table {
                    let mut all = HEARD.lock().unwrap();
                    if let Some((_, heard)) = all.iter_mut().find(|(of, _)| of == to) {
                        heard.insert(text.trim().to_owned());
                    }
                }
            }
            _ => {}
        }
    }
}
