import {
	NodeConnectionTypes,
	NodeOperationError,
	type IDataObject,
	type IHookFunctions,
	type INodeType,
	type INodeTypeDescription,
	type IWebhookFunctions,
	type IWebhookResponseData,
} from 'n8n-workflow';

import { CREDENTIALS, info } from '../AvitoGateway/request';
import { advice } from './address';
import { isRepeat, kindOf, unwanted, type Kind } from './events';
import { signatureFault } from './signature';

type Secrets = { signingSecret?: string };

export class AvitoGatewayTrigger implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Avito Gateway Trigger',
		name: 'avitoGatewayTrigger',
		icon: {
			light: 'file:../../icons/avitoGateway.svg',
			dark: 'file:../../icons/avitoGateway.dark.svg',
		},
		group: ['trigger'],
		version: 1,
		subtitle: '={{$parameter["events"].join(", ")}}',
		description: 'Starts the workflow when a customer writes in an Avito chat',
		defaults: { name: 'Avito Gateway Trigger' },
		inputs: [],
		outputs: [NodeConnectionTypes.Main],
		credentials: [{ name: 'avitoGatewayApi', required: true }],
		webhooks: [
			{
				name: 'default',
				httpMethod: 'POST',
				responseMode: '={{$parameter["respond"]}}',
				responseData: 'noData',
				path: '={{$parameter["path"]}}',
				isFullPath: true,
			},
		],
		properties: [
			{
				displayName:
					"Set the gateway's N8N_WEBHOOK_URL to this node's production URL, then activate the workflow",
				name: 'notice',
				type: 'notice',
				default: '',
			},
			{
				displayName: 'Path',
				name: 'path',
				type: 'string',
				default: 'avito',
				required: true,
				description: 'The end of the production URL: https://your-n8n/webhook/path',
			},
			{
				displayName: 'Events',
				name: 'events',
				type: 'multiOptions',
				options: [
					{
						name: 'Command Failed',
						value: 'command.failed',
						description: 'A message with a callback URL of this node was not sent',
					},
					{
						name: 'Command Sent',
						value: 'command.sent',
						description: 'A message with a callback URL of this node was sent',
					},
					{
						name: 'Message Received',
						value: 'message',
						description: 'A message came in',
					},
				],
				default: ['message'],
				required: true,
			},
			{
				displayName: 'Respond',
				name: 'respond',
				type: 'options',
				options: [
					{
						name: 'Immediately',
						value: 'onReceived',
						description: 'An execution that fails is not repeated',
					},
					{
						name: 'When Last Node Finishes',
						value: 'lastNode',
						description: 'The gateway repeats a message whose execution fails',
					},
				],
				default: 'onReceived',
			},
			{
				displayName: 'Options',
				name: 'options',
				type: 'collection',
				placeholder: 'Add option',
				default: {},
				options: [
					{
						displayName: 'Account ID',
						name: 'account',
						type: 'string',
						default: '',
						description: 'Which Avito account is meant to send messages here, if there are several',
					},
					{
						displayName: 'Check the Gateway on Activation',
						name: 'check',
						type: 'boolean',
						default: true,
						description:
							'Whether activating the workflow fails when the gateway cannot be reached or sends its messages elsewhere',
					},
					{
						displayName: 'Ignore Own Messages',
						name: 'ignoreOwn',
						type: 'boolean',
						default: true,
						description:
							"Whether to leave out what the account itself writes (the gateway's FORWARD_OWN)",
					},
					{
						displayName: 'Ignore Repeats',
						name: 'ignoreRepeats',
						type: 'boolean',
						default: true,
						displayOptions: { show: { '/respond': ['onReceived'] } },
						description:
							"Whether to run a message once when the gateway repeats it because n8n's answer was lost. Best effort: messages that arrive in the same instant may be missed.",
					},
					{
						displayName: 'Text Messages Only',
						name: 'textOnly',
						type: 'boolean',
						default: true,
						description: 'Whether to leave out images, voice messages, locations and the like',
					},
				],
			},
		],
	};

	webhookMethods = {
		default: {
			async checkExists(this: IHookFunctions): Promise<boolean> {
				return false;
			},

			/**
			 * Nothing is registered: where the gateway sends messages is a setting of its own. So this tells what to set. When
			 * n8n starts it only warns: n8n would deactivate the workflow for good because the gateway starts later.
			 */
			async create(this: IHookFunctions): Promise<boolean> {
				const options = this.getNodeParameter('options', {}) as IDataObject;
				const mode = this.getActivationMode();
				if (options.check === false || mode === 'manual') return true;
				const fault = await gatewayFault(this, String(options.account ?? ''));
				if (fault === null) return true;
				this.logger.warn(`${this.getNode().name}: ${fault}`);
				if (mode === 'init' || mode === 'leadershipChange') return true;
				throw new NodeOperationError(this.getNode(), fault);
			},

			async delete(this: IHookFunctions): Promise<boolean> {
				return true;
			},
		},
	};

	async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
		const headers = this.getHeaderData();
		const header = (name: string) => String(headers[name] ?? '');
		const { signingSecret } = await this.getCredentials<Secrets>(CREDENTIALS);
		if (signingSecret) {
			const signed = {
				id: header('webhook-id'),
				timestamp: header('webhook-timestamp'),
				signature: header('webhook-signature'),
				body: this.getRequestObject().rawBody,
			};
			const fault = signatureFault(signed, signingSecret, Date.now() / 1000);
			if (fault !== null) return refuse(this, 401, fault);
		}

		const body = this.getBodyData();
		const kind = kindOf(body);
		if (kind === null) return refuse(this, 400, 'This is not an event of avito-gateway.');

		const options = this.getNodeParameter('options', {}) as IDataObject;
		const reason = unwanted(kind, body, {
			kinds: this.getNodeParameter('events') as Kind[],
			textOnly: options.textOnly === true,
			ignoreOwn: options.ignoreOwn === true,
		});
		if (reason !== null) return { webhookResponse: { ignored: reason } };

		const id = header('webhook-id');
		const remembers =
			options.ignoreRepeats === true && this.getNodeParameter('respond') === 'onReceived';
		if (remembers && id && isRepeat(this.getWorkflowStaticData('node'), id)) {
			return { webhookResponse: { ignored: 'it is a repeat' } };
		}
		const webhook = { id: id || null, attempt: Number(header('webhook-attempt')) || null };
		return { workflowData: [[{ json: { ...body, webhook } }]] };
	}
}

/** Asks the gateway, and returns why its messages will not come here; null if they will. */
async function gatewayFault(context: IHookFunctions, account: string): Promise<string | null> {
	try {
		const { signingSecret } = await context.getCredentials<Secrets>(CREDENTIALS);
		const { accounts } = await info(context);
		const ownUrl = context.getNodeWebhookUrl('default') ?? '';
		return advice(ownUrl, accounts, { account, signed: Boolean(signingSecret) });
	} catch (error) {
		return `The gateway does not say where it sends messages. ${(error as Error).message}`;
	}
}

function refuse(context: IWebhookFunctions, status: number, message: string): IWebhookResponseData {
	context.getResponseObject().status(status).json({ message });
	return { noWebhookResponse: true };
}
