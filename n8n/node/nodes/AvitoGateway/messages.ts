import { type IDataObject, type IExecuteFunctions, type INodeProperties } from 'n8n-workflow';

import { form } from './form';
import { readPages } from './pages';
import {
	chatIdField,
	forItem,
	limitField,
	ownKey,
	returnAllField,
	segment,
	sendFields,
	sendOptions,
	shownFor,
	text,
	waitOption,
	type Operation,
} from './parameters';
import { ask } from './request';

const RESOURCE = 'message';

export const messageProperties: INodeProperties[] = [
	{
		displayName: 'Operation',
		name: 'operation',
		type: 'options',
		noDataExpression: true,
		displayOptions: { show: { resource: [RESOURCE] } },
		options: [
			{
				name: 'Delete',
				value: 'delete',
				action: 'Delete a message',
				description: 'Delete an own message, within an hour of sending',
			},
			{
				name: 'Get Many',
				value: 'getAll',
				action: 'Get many messages',
				description: "Get a chat's messages, newest first, without marking them as read",
			},
			{
				name: 'Send Bulk',
				value: 'sendBulk',
				action: 'Send many texts in one request',
				description: 'Send one text for each input item, all in one request',
			},
			{ name: 'Send Image', value: 'sendImage', action: 'Send an image' },
			{
				name: 'Send Link',
				value: 'sendLink',
				action: 'Send a link',
				description: 'Send a text that ends with a link',
			},
			{ name: 'Send Text', value: 'sendText', action: 'Send a text' },
		],
		default: 'sendText',
	},
	{
		...chatIdField,
		displayOptions: shownFor(
			RESOURCE,
			'delete',
			'getAll',
			'sendBulk',
			'sendImage',
			'sendLink',
			'sendText',
		),
	},
	{
		displayName: 'Text',
		name: 'text',
		type: 'string',
		typeOptions: { rows: 3 },
		required: true,
		default: '',
		description: 'Up to 1000 characters; more with the option Split Long Text',
		displayOptions: shownFor(RESOURCE, 'sendText', 'sendBulk'),
	},
	{
		displayName: 'URL',
		name: 'url',
		type: 'string',
		required: true,
		default: '',
		placeholder: 'e.g. https://example.com/price',
		displayOptions: shownFor(RESOURCE, 'sendLink'),
	},
	{
		displayName: 'Text Before the Link',
		name: 'linkText',
		type: 'string',
		default: '',
		displayOptions: shownFor(RESOURCE, 'sendLink'),
	},
	{
		displayName: 'Image From',
		name: 'imageFrom',
		type: 'options',
		options: [
			{
				name: 'Binary File',
				value: 'binary',
				description: 'A file of the input item: JPEG, HEIC, GIF, BMP or PNG up to 24 MB',
			},
			{
				name: 'Image ID',
				value: 'id',
				description: 'An image that Avito has already',
			},
			{ name: 'URL', value: 'url', description: 'The gateway fetches it' },
		],
		default: 'url',
		displayOptions: shownFor(RESOURCE, 'sendImage'),
	},
	{
		displayName: 'Image URL',
		name: 'imageUrl',
		type: 'string',
		required: true,
		default: '',
		placeholder: 'e.g. https://example.com/picture.png',
		displayOptions: {
			show: { resource: [RESOURCE], operation: ['sendImage'], imageFrom: ['url'] },
		},
	},
	{
		displayName: 'Image ID',
		name: 'imageId',
		type: 'string',
		required: true,
		default: '',
		displayOptions: {
			show: { resource: [RESOURCE], operation: ['sendImage'], imageFrom: ['id'] },
		},
	},
	{
		displayName: 'Input Binary Field',
		name: 'binaryField',
		type: 'string',
		required: true,
		default: 'data',
		hint: 'The name of the input field containing the binary file data to be sent',
		displayOptions: {
			show: { resource: [RESOURCE], operation: ['sendImage'], imageFrom: ['binary'] },
		},
	},
	{
		displayName: 'Message ID',
		name: 'messageId',
		type: 'string',
		required: true,
		default: '',
		displayOptions: shownFor(RESOURCE, 'delete'),
	},
	{ ...returnAllField, displayOptions: shownFor(RESOURCE, 'getAll') },
	{
		...limitField,
		displayOptions: {
			show: { resource: [RESOURCE], operation: ['getAll'], returnAll: [false] },
		},
	},
	{
		displayName: 'Options',
		name: 'options',
		type: 'collection',
		placeholder: 'Add option',
		default: {},
		displayOptions: shownFor(RESOURCE, 'sendText'),
		options: [
			...sendOptions,
			{
				displayName: 'Split Long Text',
				name: 'split',
				type: 'boolean',
				default: true,
				description:
					'Whether to send a text of more than 1000 characters in parts, in order, instead of failing',
			},
			waitOption,
		],
	},
	{
		displayName: 'Options',
		name: 'options',
		type: 'collection',
		placeholder: 'Add option',
		default: {},
		displayOptions: shownFor(RESOURCE, 'sendImage', 'sendLink'),
		options: [...sendOptions, waitOption],
	},
	{
		displayName: 'Options',
		name: 'options',
		type: 'collection',
		placeholder: 'Add option',
		default: {},
		description: 'Those of the first input item hold for all',
		displayOptions: shownFor(RESOURCE, 'sendBulk'),
		options: sendOptions,
	},
	{
		displayName: 'Options',
		name: 'options',
		type: 'collection',
		placeholder: 'Add option',
		default: {},
		displayOptions: shownFor(RESOURCE, 'delete'),
		options: [waitOption],
	},
];

export const messageOperations: Record<string, Operation> = {
	async sendText(context, item) {
		return await send(context, item, '', { text: text(context, 'text', item) });
	},

	async sendLink(context, item) {
		const before = text(context, 'linkText', item);
		const url = text(context, 'url', item);
		return await send(context, item, '/link', before ? { url, text: before } : { url });
	},

	async sendImage(context, item) {
		switch (context.getNodeParameter('imageFrom', item)) {
			case 'binary':
				return await sendFile(context, item);
			case 'id':
				return await send(context, item, '/image', { image_id: text(context, 'imageId', item) });
			default:
				return await send(context, item, '/image', { image_url: text(context, 'imageUrl', item) });
		}
	},

	async delete(context, item) {
		const chat = segment(context, 'chatId', item);
		return [
			await ask(context, {
				method: 'DELETE',
				path: `/api/chats/${chat}/messages/${segment(context, 'messageId', item)}`,
				headers: { 'Idempotency-Key': ownKey(context, item) },
				...forItem(context, item),
			}),
		];
	},

	async getAll(context, item) {
		const path = `/api/chats/${segment(context, 'chatId', item)}/messages`;
		return await readPages(context, item, { path, of: 'messages' });
	},
};

async function send(
	context: IExecuteFunctions,
	item: number,
	kind: '' | '/link' | '/image',
	content: IDataObject,
): Promise<IDataObject[]> {
	const answer = await ask(context, {
		method: 'POST',
		path: `/api/messages/send${kind}`,
		body: { chat_id: text(context, 'chatId', item), ...content, ...sendFields(context, item) },
		...forItem(context, item),
	});
	return [answer];
}

async function sendFile(context: IExecuteFunctions, item: number): Promise<IDataObject[]> {
	const field = text(context, 'binaryField', item);
	const file = context.helpers.assertBinaryData(item, field);
	const content = await context.helpers.getBinaryDataBuffer(item, field);
	const fields = { chat_id: text(context, 'chatId', item), ...sendFields(context, item) };
	const { contentType, body } = form(
		Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)])),
		{ name: 'file', filename: file.fileName ?? 'image', contentType: file.mimeType, content },
	);
	const answer = await ask(context, {
		method: 'POST',
		path: '/api/messages/send/image',
		headers: { 'Content-Type': contentType },
		body,
		...forItem(context, item),
	});
	return [answer];
}
