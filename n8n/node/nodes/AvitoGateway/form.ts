import { randomBytes } from 'node:crypto';

/** Returns a multipart/form-data body with text fields and one file. */
export function form(
	fields: Record<string, string>,
	file: { name: string; filename: string; contentType: string; content: Buffer },
): { contentType: string; body: Buffer } {
	const boundary = `----avito-gateway-${randomBytes(16).toString('hex')}`;
	const head = (name: string, more = '') =>
		`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n`;
	const texts = Object.entries(fields).map(([name, value]) => `${head(name)}\r\n${value}\r\n`);
	const filename = file.filename.replace(/[^\w.-]/g, '_');
	const fileHead = `${head(file.name, `; filename="${filename}"`)}Content-Type: ${file.contentType}\r\n\r\n`;
	return {
		contentType: `multipart/form-data; boundary=${boundary}`,
		body: Buffer.concat([
			Buffer.from(texts.join('') + fileHead),
			file.content,
			Buffer.from(`\r\n--${boundary}--\r\n`),
		]),
	};
}
