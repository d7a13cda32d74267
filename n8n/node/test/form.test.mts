import assert from 'node:assert/strict';
import { test } from 'node:test';

import { form } from '../dist/nodes/AvitoGateway/form.js';

test('a form reads back as what was put in, whatever the filename and the bytes', async () => {
	const content = Buffer.from([0, 13, 10, 45, 45, 255]);
	const { contentType, body } = form(
		{ chat_id: 'u2i-1', idempotency_key: 'ключ "1"' },
		{ name: 'file', filename: 'фото"\r\n.png', contentType: 'image/png', content },
	);

	const read = await new Response(body, { headers: { 'Content-Type': contentType } }).formData();
	const file = read.get('file') as File;

	assert.deepEqual([read.get('chat_id'), read.get('idempotency_key')], ['u2i-1', 'ключ "1"']);
	assert.deepEqual([file.name, file.type], ['_______.png', 'image/png']);
	assert.deepEqual(Buffer.from(await file.arrayBuffer()), content);
});
