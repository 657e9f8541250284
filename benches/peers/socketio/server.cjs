// The Socket.IO server that Hubbub is measured beside: rooms, each message stored before anybody sees it.
//
//   NODE_PATH=.../node_modules node server.cjs PORT POSTGRES_URL [REDIS_URL]
//
// It does what a small chat server of this kind does: a client joins a room; a message is inserted with RETURNING on
// a pool of ten connections, then emitted to the room, then acknowledged. With Redis several processes share rooms.
'use strict';

const { createServer } = require('node:http');
const { Pool } = require('pg');
const { Server } = require('socket.io');

const [port, postgres, redis] = process.argv.slice(2);

// As many connections as pg's pool opens by default.
const POOL = 10;

const TABLE = `CREATE TABLE IF NOT EXISTS messages (
  id bigserial PRIMARY KEY,
  room text NOT NULL,
  author text NOT NULL,
  body text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
)`;
const INDEX = 'CREATE INDEX IF NOT EXISTS messages_by_room ON messages (room, id)';
const INSERT = {
  name: 'insert-message',
  text: 'INSERT INTO messages (room, author, body) VALUES ($1, $2, $3) RETURNING id, created_at',
};

async function adapter() {
  const { createAdapter } = require('@socket.io/redis-adapter');
  const { createClient } = require('redis');
  const publisher = createClient({ url: redis });
  const subscriber = publisher.duplicate();
  for (const client of [publisher, subscriber]) {
    client.on('error', (error) => console.error(`redis: ${error.message}`));
    await client.connect();
  }
  return createAdapter(publisher, subscriber);
}

async function main() {
  const pool = new Pool({ connectionString: postgres, max: POOL });
  await pool.query(TABLE);
  await pool.query(INDEX);
  const http = createServer();
  const io = new Server(http, {
    transports: ['websocket'],
    perMessageDeflate: false,
    serveClient: false,
    adapter: redis ? await adapter() : undefined,
  });

  io.on('connection', (socket) => {
    socket.on('join', async (room, done) => {
      await socket.join(room);
      done({ ok: true });
    });
    socket.on('send', async ({ room, text }, done) => {
      try {
        const stored = await pool.query({ ...INSERT, values: [room, socket.id, text] });
        const { id, created_at: at } = stored.rows[0];
        io.to(room).emit('message', { id, room, author: socket.id, text, at });
        done({ ok: true, id });
      } catch (error) {
        console.error(`a message was not stored: ${error.message}`);
        done({ error: 'not stored' });
      }
    });
  });

  http.listen(Number(port), '127.0.0.1', () => {
    console.error(`listening on http://127.0.0.1:${port}`);
  });
  process.on('SIGTERM', () => process.exit(0));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
