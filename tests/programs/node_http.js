// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For test_node.py: `node_http.js server PORT` answers a POST with its body and a GET /SIZE with SIZE bytes that follow
// from SIZE; `node_http.js client PORT` sends both over a few kept-alive connections and compares every body.
'use strict';
const http = require('http');
const crypto = require('crypto');
const [role, port] = process.argv.slice(2);
const REQUESTS = 2000, CONNECTIONS = 10;

function body(size) {
	const key = crypto.createHash('md5').update(String(size)).digest();
	return crypto.createCipheriv('aes-128-ctr', key, key).update(Buffer.alloc(size));
}

function serve(request, response) {
	if (request.method === 'POST')
		return request.pipe(response); // chunked, while it still arrives
	const data = body(Number(request.url.slice(1)));
	response.writeHead(200, { 'Content-Length': data.length });
	for (let at = 0; at < data.length; at += 5000)
		response.write(data.subarray(at, at + 5000));
	response.end();
}

function ask(agent, method, size) {
	return new Promise((resolve, reject) => {
		const request = http.request({ port, host: '127.0.0.1', method, agent, path: `/${size}` }, (response) => {
			const chunks = [];
			response.on('data', (chunk) => chunks.push(chunk));
			response.on('error', reject);
			response.on('end', () => {
				if (!Buffer.concat(chunks).equals(body(size)))
					reject(new Error(`${method} ${size}: wrong body`));
				resolve();
			});
		});
		request.on('error', reject);
		request.end(method === 'POST' ? body(size) : undefined);
	});
}

async function client() {
	const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
	const all = [];
	let connections = 0;
	const create = agent.createConnection.bind(agent);
	agent.createConnection = (...args) => { connections++; return create(...args); };
	for (let n = 0; n < REQUESTS; n++)
		all.push(ask(agent, n % 2 ? 'POST' : 'GET', 1 + (n * 7919) % (n % 20 ? 20000 : 800000)));
	await Promise.all(all);
	agent.destroy();
	console.log(`${REQUESTS} bodies right, ${connections} connections`);
}

if (role === 'server')
	http.createServer(serve).listen(port, '127.0.0.1');
else
	client().catch((error) => { console.error(error); process.exit(1); });
