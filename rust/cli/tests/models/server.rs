//! A web server of a few lines, for one test each: it answers as the test says and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first byte of an open-ended range.
    pub fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What the server does with a request.
pub enum Reply {
    /// Status, extra headers, body; the length is sent along.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// As a success of the given length, but the connection ends after these bytes.
    Cut(Vec<(&'static str, String)>, usize, Vec<u8>),
    /// As `Cut`, but the connection stays open and silent.
    Stall(usize, Vec<u8>),
}

impl Reply {
    pub fn ok(body: &[u8]) -> Self {
        Self::Whole(200, vec![("ETag", "\"one\"".to_owned())], body.to_vec())
    }

    pub fn status(code: u16) -> Self {
        Self::Whole(code, Vec::new(), b"some page".to_vec())
    }

    /// The rest of `body` when a range was asked for, as a server should.
    pub fn ranged(asked: &Asked, body: &[u8]) -> Self {
        match asked.range() {
            None => Self::ok(body),
            Some(from) => {
                let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
                Self::Whole(206, vec![("Content-Range", range)], body[from..].to_vec())
            }
        }
    }
}

pub struct Server {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Serves until the test process ends. `answer` gets the request and how many came before it.
    pub fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                // A client that hung up is part of some tests.
                thread::spawn(move || drop(serve(stream, &log, answer.as_ref())));
            }
        });
        Self { address, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked, usize) -> Reply) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let asked = Asked { path, headers };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.len() - 1
    };
    let (status, headers, length, body, stays) = match answer(&asked, before) {
        Reply::Whole(status, headers, body) => (status, headers, body.len(), body, false),
        Reply::Cut(headers, length, body) => (200, headers, length, body, false),
        Reply::Stall(length, body) => (200, Vec::new(), length, body, true),
    };
    let mut out = stream;
    write!(out, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n")?;
    for (name, value) in headers {
        write!(out, "{name}: {value}\r\n")?;
    }
    out.write_all(b"\r\n")?;
    out.write_all(&body)?;
    out.flush()?;
    if stays {
        thread::sleep(Duration::from_secs(60));
    }
    Ok(())
}
