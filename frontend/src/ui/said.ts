// What the platform says of runs and deployments, in Chinese: it writes sentences in English, with names and figures in them.
import { language } from "@/i18n";

const WHO = "(.+?)";
const SAID: [RegExp, string][] = [
  [/^accepted; about to be sent to the cluster$/, "已接受，即将送往集群"],
  [/^sent to the cluster; waiting for its turn$/, "已送往集群，等待调度"],
  [/^waiting for the worker$/, "等待后台处理"],
  [/^waiting until this machine is warm: .*$/s, "等待本机准备就绪"],
  [/^(waiting|starting|starting now)$/, "即将开始"],
  [/^the cluster does not answer \((.*)\); asking again$/s, "集群没有应答（$1），正在重试"],
  [/^\w+ in the queue, behind (.*?), which is at step (\d+) of (\d+)$/, "排在 $1 之后（它已到第 $2 步，共 $3 步）"],
  [/^\w+ in the queue, behind (.*?), which has been running for (\d+) s$/, "排在 $1 之后（它已运行 $2 秒）"],
  [/^\w+ in the queue, behind (.*?); running now: .*$/s, "排在 $1 之后"],
  [/^loading the base model$/, "加载基座模型"],
  [/^reading the rows$/, "读取数据行"],
  [/^storing the result$/, "保存结果"],
  [/^taking over the result$/, "登记结果"],
  [/^scoring$/, "打分"],
  [/^candidate (\d+) of (\d+) answers$/, "第 $1 个模型在作答（共 $2 个）"],
  [/^step (\d+) of (\d+)$/, "第 $1 步，共 $2 步"],
  [/^checkpoint at step (\d+)$/, "第 $1 步的检查点"],
  [/^paused at the checkpoint of step (\d+): (.*)$/s, "停在第 $1 步的检查点：$2"],
  [/^starting a process for the model$/, "为模型启动进程"],
  [/^starting the engine's libraries$/, "启动推理引擎"],
  [/^fetching the model's files$/, "获取模型文件"],
  [/^loading the model$/, "加载模型"],
  [/^generating the first token$/, "生成第一个词元"],
  [/^starting vLLM$/, "启动 vLLM"],
  [/^(\d+) of (\d+) replicas answer\. ?$/, "$2 个副本中有 $1 个在应答"],
  [/^replaced by revision (\d+)$/, "由修订 $1 接替"],
  [/^nobody asked for (\d+) s; the next request wakes it$/, "$1 秒无人访问，下一个请求会唤醒它"],
  [/^asleep$/, "休眠中"],
  [/^given up$/, "已放弃"],
  [new RegExp(`^asked for by ${WHO}$`), "由 $1 新建"],
  [new RegExp(`^update given up by ${WHO}$`), "$1 放弃了更新"],
  [new RegExp(`^cancelled by ${WHO}$`), "由 $1 取消"],
  [new RegExp(`^paused by ${WHO}$`), "由 $1 暂停"],
  [new RegExp(`^stopped by ${WHO}$`), "由 $1 停止"],
  [new RegExp(`^started by ${WHO}$`), "由 $1 启动"],
  [new RegExp(`^deleted by ${WHO}$`), "由 $1 删除"],
  [new RegExp(`^resumed by ${WHO}; goes on from the latest checkpoint$`), "由 $1 继续，从最近的检查点开始"],
  [new RegExp(`^tried again by ${WHO}; resumes from the latest checkpoint if there is one$`), "由 $1 重试，有检查点则从那里继续"],
  [/^(\d+) jobs? (?:is|are) in front; sooner if the cluster has room for more than one$/, "前面有 $1 个任务；集群有空余时会更早"],
  [/^at once$/, "立即"],
  [/^(\d+) earlier jobs? with this model here$/, "本平台上用此模型完成的 $1 个任务"],
  [/^arithmetic from the model's size; no job with this model ran here yet$/, "按模型规模推算；本平台还没有用此模型完成的任务"],
];

/** The sentence in the language of the page; as the platform wrote it where it is none of these. */
export function said(sentence: string): string {
  if (language() === "en") return sentence;
  const found = SAID.find(([form]) => form.test(sentence));
  return found === undefined ? sentence : sentence.replace(...found);
}
